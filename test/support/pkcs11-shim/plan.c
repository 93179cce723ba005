#include "plan.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counters.h"

#define NS_PER_MS 1e6
#define BLANKS " \t\r"

/* The longest time that can be given: an hour. */
#define MAX_MS 3.6e6

enum argument { NO_ARGUMENT, CODE, MILLISECONDS, STATUS, BYTES, LABEL };

/* The functions on which an action makes sense. */
enum scope { ANY_FUNCTION, IN_SESSION, MAC_OUTPUT, MAC_KEY };

static const struct {
  const char *name;
  enum action action;
  enum argument argument;
  enum scope scope;
} ACTIONS[] = {
    {"delay", DELAY, MILLISECONDS, ANY_FUNCTION},
    {"return", RETURN, CODE, ANY_FUNCTION},
    {"return-after", RETURN_AFTER, CODE, ANY_FUNCTION},
    {"hang", HANG, NO_ARGUMENT, ANY_FUNCTION},
    {"hang-forever", HANG_FOREVER, NO_ARGUMENT, ANY_FUNCTION},
    {"abort", ABORT, NO_ARGUMENT, ANY_FUNCTION},
    {"segfault", SEGFAULT, NO_ARGUMENT, ANY_FUNCTION},
    {"exit", EXIT, STATUS, ANY_FUNCTION},
    {"lose-session", LOSE_SESSION, NO_ARGUMENT, IN_SESSION},
    {"flip-bit", FLIP_BIT, NO_ARGUMENT, MAC_OUTPUT},
    {"shorten", SHORTEN, BYTES, MAC_OUTPUT},
    {"use-key", USE_KEY, LABEL, MAC_KEY},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const FUNCTION_NAMES[] = {
#define F(name, session, parameters, arguments) #name,
    CK_FUNCTIONS(F)
#undef F
};

static const bool WORKS_IN_SESSION[] = {
#define session true
#define F(name, in_session, parameters, arguments) in_session,
    CK_FUNCTIONS(F)
#undef F
#undef session
};

static const struct {
  const char *name;
  CK_RV value;
} CODES[] = {
#define V(name, value) {#name, value},
    CK_RETURN_VALUES(V)
#undef V
};

/* What is left of one line, and what to blame when it is wrong. */
struct line {
  const char *file;
  int number;
  char *rest;
};

__attribute__((format(printf, 2, 3))) static bool wrong(const struct line *line,
                                                        const char *format, ...) {
  char what[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  fprintf(stderr, "pkcs11-shim: %s:%d: %s\n", line->file, line->number, what);
  return false;
}

/* The next word, or NULL at the line's end. */
static char *next_word(struct line *line) {
  line->rest += strspn(line->rest, BLANKS);
  if (*line->rest == '\0') return NULL;
  char *word = line->rest;
  line->rest += strcspn(line->rest, BLANKS);
  if (*line->rest != '\0') *line->rest++ = '\0';
  return word;
}

static bool parse_decimal(struct line *line, const char *what, double max, double *value) {
  const char *word = next_word(line);
  if (word == NULL) return wrong(line, "%s needs a number", what);
  char *end;
  *value = strtod(word, &end);
  if (*end == '\0' && *value >= 0 && *value <= max) return true;
  return wrong(line, "%s: \"%s\" is no number from 0 to %g", what, word, max);
}

static bool to_whole(const char *word, uint64_t *value) {
  char *end;
  errno = 0;
  *value = strtoull(word, &end, 0);
  return *word >= '0' && *word <= '9' && *end == '\0' && errno == 0;
}

static bool parse_whole(struct line *line, const char *what, uint64_t min, uint64_t max,
                        uint64_t *value) {
  const char *word = next_word(line);
  if (word == NULL) return wrong(line, "%s needs a number", what);
  if (to_whole(word, value) && *value >= min && *value <= max) return true;
  return wrong(line, "%s: \"%s\" is no whole number of %llu or more that it can be", what, word,
               (unsigned long long)min);
}

static bool parse_time(struct line *line, const char *what, int64_t *ns) {
  double ms;
  if (!parse_decimal(line, what, MAX_MS, &ms)) return false;
  *ns = (int64_t)(ms * NS_PER_MS);
  return true;
}

static bool parse_code(struct line *line, CK_RV *code) {
  const char *word = next_word(line);
  if (word == NULL) return wrong(line, "a return value is missing");
  for (size_t i = 0; i < COUNT(CODES); i++) {
    *code = CODES[i].value;
    if (strcmp(word, CODES[i].name) == 0) return true;
  }
  uint64_t number;
  if (!to_whole(word, &number) || number > ULONG_MAX) {
    return wrong(line, "\"%s\" is no return value", word);
  }
  *code = number;
  return true;
}

static bool parse_label(struct line *line, char label[MAX_LABEL_BYTES]) {
  const char *word = next_word(line);
  if (word == NULL) return wrong(line, "a key's label is missing");
  if (strlen(word) >= MAX_LABEL_BYTES) return wrong(line, "the label is too long");
  strcpy(label, word);
  return true;
}

static bool parse_argument(struct line *line, enum argument kind, struct rule *rule) {
  uint64_t number;
  switch (kind) {
    case CODE:
      return parse_code(line, &rule->number);
    case MILLISECONDS:
      return parse_time(line, "delay", &rule->delay_ns);
    case STATUS:
      if (!parse_whole(line, "exit", 0, UINT8_MAX, &number)) return false;
      rule->number = number;
      return true;
    case BYTES:
      if (!parse_whole(line, "shorten", 1, UINT16_MAX, &number)) return false;
      rule->number = number;
      return true;
    case LABEL:
      return parse_label(line, rule->label);
    case NO_ARGUMENT:
      break;
  }
  return true;
}

static bool parse_option(struct line *line, const char *option, struct rule *rule) {
  if (strcmp(option, "jitter") == 0 && rule->action == DELAY) {
    return parse_time(line, option, &rule->jitter_ns);
  }
  if (strcmp(option, "skip") == 0) return parse_whole(line, option, 0, UINT64_MAX, &rule->skip);
  if (strcmp(option, "every") == 0) return parse_whole(line, option, 1, UINT64_MAX, &rule->every);
  if (strcmp(option, "times") == 0) return parse_whole(line, option, 1, UINT64_MAX, &rule->times);
  if (strcmp(option, "chance") == 0) return parse_decimal(line, option, 1, &rule->chance);
  return wrong(line, "\"%s\" is no option of this action", option);
}

static bool is_in_scope(enum scope scope, size_t function) {
  switch (scope) {
    case IN_SESSION:
      return WORKS_IN_SESSION[function];
    case MAC_OUTPUT:
      return function == FUNCTION_C_Sign || function == FUNCTION_C_SignFinal;
    case MAC_KEY:
      return function == FUNCTION_C_SignInit || function == FUNCTION_C_VerifyInit;
    case ANY_FUNCTION:
      break;
  }
  return true;
}

static bool parse_function(const struct line *line, const char *name, enum scope scope,
                           struct rule *rule) {
  for (size_t function = 0; function < FUNCTION_COUNT; function++) {
    if (strcmp(name, FUNCTION_NAMES[function]) != 0) continue;
    if (!is_in_scope(scope, function)) return wrong(line, "that cannot be done to %s", name);
    rule->functions[function] = true;
    return true;
  }
  return wrong(line, "\"%s\" is no function", name);
}

static bool parse_functions(const struct line *line, char *names, enum scope scope,
                            struct rule *rule) {
  if (strcmp(names, "*") == 0) {
    for (size_t function = FIRST_TOKEN_FUNCTION; function < FUNCTION_COUNT; function++) {
      rule->functions[function] = is_in_scope(scope, function);
    }
    return true;
  }
  for (char *name; (name = strsep(&names, ",")) != NULL;) {
    if (!parse_function(line, name, scope, rule)) return false;
  }
  return true;
}

static bool parse_rule(struct line *line, char *functions, struct plan *plan) {
  if (plan->rule_count == MAX_RULES) return wrong(line, "more than %d rules", MAX_RULES);
  struct rule *rule = &plan->rules[plan->rule_count++];
  *rule = (struct rule){.every = 1, .chance = 1, .times = UINT64_MAX};
  const char *action = next_word(line);
  if (action == NULL) return wrong(line, "it says nothing of what \"%s\" shall do", functions);
  size_t i = 0;
  while (i < COUNT(ACTIONS) && strcmp(action, ACTIONS[i].name) != 0) i++;
  if (i == COUNT(ACTIONS)) return wrong(line, "\"%s\" is no action", action);
  rule->action = ACTIONS[i].action;
  if (!parse_functions(line, functions, ACTIONS[i].scope, rule)) return false;
  if (!parse_argument(line, ACTIONS[i].argument, rule)) return false;
  for (const char *option; (option = next_word(line)) != NULL;) {
    if (!parse_option(line, option, rule)) return false;
  }
  return true;
}

/* Whether all that stands in a line that is no rule has been read. */
static bool parse_end(struct line *line) {
  const char *word = next_word(line);
  return word == NULL || wrong(line, "\"%s\" is too much", word);
}

static bool parse_line(struct line *line, struct plan *plan) {
  uint64_t number;
  char *word = next_word(line);
  if (word == NULL) return true;
  if (strcmp(word, "seed") == 0) {
    return parse_whole(line, word, 0, UINT64_MAX, &plan->seed) && parse_end(line);
  }
  if (strcmp(word, "lose-sessions") == 0) {
    plan->lose_sessions = true;
    return parse_end(line);
  }
  if (strcmp(word, "log-out") == 0) {
    plan->log_out = true;
    return parse_end(line);
  }
  if (strcmp(word, "remove-token") == 0) {
    return parse_code(line, &plan->removed) && parse_end(line);
  }
  if (strcmp(word, "session-limit") == 0) {
    if (!parse_whole(line, word, 0, SIZE_MAX, &number)) return false;
    plan->session_limit = number;
    return parse_end(line);
  }
  if (strcmp(word, "idle-limit") == 0) {
    return parse_time(line, word, &plan->idle_limit_ns) && parse_end(line);
  }
  return parse_rule(line, word, plan);
}

bool plan_parse(struct plan *plan, const char *file, char *text) {
  struct line line = {.file = file};
  while ((line.rest = strsep(&text, "\n")) != NULL) {
    line.number++;
    line.rest[strcspn(line.rest, "#")] = '\0';
    if (!parse_line(&line, plan)) return false;
  }
  return true;
}

bool plan_is_empty(const struct plan *plan) {
  return !plan->invalid && plan->removed == CKR_OK && plan->session_limit == SIZE_MAX &&
         plan->idle_limit_ns == 0 && plan->rule_count == 0;
}

/* Sebastiano Vigna's splitmix64. */
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

double plan_random(const struct plan *plan, size_t rule, uint64_t number) {
  uint64_t random = mix(mix(mix(plan->seed) ^ rule) ^ number);
  return (double)(random >> 11) * 0x1p-53;
}

bool plan_rule_acts(const struct plan *plan, size_t index, uint64_t *number) {
  const struct rule *rule = &plan->rules[index];
  *number = counters_add(&plan->counts->calls[index]);
  if (*number <= rule->skip || (*number - rule->skip) % rule->every != 0) return false;
  if (plan_random(plan, index, *number) >= rule->chance) return false;
  return rule->times == UINT64_MAX || counters_add(&plan->counts->acts[index]) <= rule->times;
}
