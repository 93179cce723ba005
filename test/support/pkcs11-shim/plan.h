/* What a control file says. The language stands at the top of shim.c. */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cryptoki.h"

#define MAX_RULES 64
#define MAX_LABEL_BYTES 64

enum action {
  DELAY,
  RETURN,
  RETURN_AFTER,
  HANG,
  HANG_FOREVER,
  ABORT,
  SEGFAULT,
  EXIT,
  LOSE_SESSION,
  FLIP_BIT,
  SHORTEN,
  USE_KEY,
};

struct rule {
  bool functions[FUNCTION_COUNT];
  enum action action;
  /* A return value, a number of bytes or an exit status. */
  CK_ULONG number;
  char label[MAX_LABEL_BYTES];
  int64_t delay_ns;
  int64_t jitter_ns;
  uint64_t skip;
  uint64_t every;
  double chance;
  uint64_t times;
};

struct plan {
  /* Of a file that has an error; then nothing else counts. */
  bool invalid;
  uint64_t seed;
  bool lose_sessions;
  bool log_out;
  /* What a token that is gone answers, else CKR_OK. */
  CK_RV removed;
  size_t session_limit;
  /* 0 for none. */
  int64_t idle_limit_ns;
  size_t rule_count;
  struct rule rules[MAX_RULES];
  struct rule_counts *counts;
};

/* What applies without a control file. */
#define EMPTY_PLAN {.seed = 1, .session_limit = SIZE_MAX}

/*
 * Reads TEXT, which it changes, into a plan that is EMPTY_PLAN so far. FILE names it in the message
 * on stderr that tells what is wrong.
 */
bool plan_parse(struct plan *plan, const char *file, char *text);

/* Whether nothing in it can ever change what a call does. */
bool plan_is_empty(const struct plan *plan);

/*
 * Counts a call that a rule is for, and says whether the rule acts on it. NUMBER becomes the call's
 * number among those, from 1.
 */
bool plan_rule_acts(const struct plan *plan, size_t rule, uint64_t *number);

/*
 * A number from 0 to below 1 that seems random and depends on the plan's seed, the rule and the
 * call's number alone.
 */
double plan_random(const struct plan *plan, size_t rule, uint64_t number);

#endif
