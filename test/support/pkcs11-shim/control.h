/* Follows the control file. */
#ifndef CONTROL_H
#define CONTROL_H

#include "plan.h"

/* FILE may be NULL: then the plan is empty for ever. */
void control_open(const char *file);

/*
 * The plan of the control file as it is now or was a moment ago. It is never freed: a call may be
 * asleep in it, and there are few.
 */
const struct plan *control_plan(void);

#endif
