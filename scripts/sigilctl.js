#!/usr/bin/env node
import { sigilctl } from '../dist/admin/sigilctl.js';

process.exitCode = await sigilctl(process.argv.slice(2));
