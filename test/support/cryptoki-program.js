// Makes the Cryptoki calls that it is told to, one after another, with the module that its argument
// names. It is a process of its own since a test's process would not survive some of them.
import pkcs11js from 'pkcs11js';

const module = new pkcs11js.PKCS11();
module.load(process.argv[2] ?? '');

process.on('message', ({ name, parameters }) => {
  try {
    process.send?.({ result: module[name](...parameters) });
  } catch (error) {
    // Some functions of pkcs11js 2.1.7 throw a plain Error with the message "CKR_X:123".
    process.send?.({ code: error.code || Number(/:(\d+)/.exec(error.message)?.[1]) });
  }
});
