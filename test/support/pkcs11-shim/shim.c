/*
 * A PKCS#11 module for tests: it passes every call on to a real module, and makes the faults that a
 * control file asks for.
 *
 * Environment:
 *
 *   PKCS11_SHIM_MODULE    the real module's file
 *   PKCS11_SHIM_CONTROL   the control file; none, or one that is not there: everything is passed on
 *   PKCS11_SHIM_COUNTERS  a file in which all processes count; none: each counts for itself
 *
 * Calls that begin 2 ms or more after a change of the control file see it. It has to be put in its
 * place by rename(2), so that nobody reads half of it. As long as it has an error, which stderr
 * tells, every function answers CKR_ARGUMENTS_BAD: no test passes because of a misspelt line.
 *
 * The control file has one rule or setting a line; "#" starts a comment. A rule is
 *
 *   FUNCTIONS ACTION [ARGUMENT] [OPTION VALUE]...
 *
 * FUNCTIONS is one name or several, with commas and without blanks between, or "*": all that the
 * action can be done to, but C_Initialize, C_Finalize and C_GetInfo. ACTION is one of
 *
 *   delay MS            the call takes so much longer; option "jitter MS": and up to so much more.
 *                       A thread that has slept too long, as every thread does, sleeps so much less
 *                       the next time: on average the delay is as long as it says
 *   return CODE         it is not made and answers CODE: a name of Cryptoki 2.40, or a number
 *   return-after CODE   it is made, its answer is lost, and it answers CODE
 *   hang                it waits until the control file changes, and is made then
 *   hang-forever        it never returns
 *   abort, segfault     the process dies as of a defect in the module
 *   exit STATUS         the process ends by _exit(2)
 *   lose-session        the token has dropped the call's session
 *   flip-bit            the MAC that the call makes has a wrong bit (C_Sign, C_SignFinal)
 *   shorten BYTES       the MAC has so many bytes less (C_Sign, C_SignFinal)
 *   use-key LABEL       the key's handle means the key of that label (C_SignInit, C_VerifyInit)
 *
 * Without an option a rule acts on every call of its functions. With these it acts on fewer, and
 * with several on those that all of them allow:
 *
 *   skip N              not on the first N
 *   every N             of the others on each Nth
 *   chance P            with a probability from 0 to 1
 *   times N             N times in all
 *
 * The calls are counted from the moment that the control file has changed, in all processes that
 * share PKCS11_SHIM_COUNTERS together. Rules act in the order of their lines, and those after one
 * that has answered the call do not see it. Chance and jitter depend on the seed and the number of
 * the call alone. A setting is one of
 *
 *   seed N              for chance and jitter; 1 unless set
 *   lose-sessions       all sessions that are open now are dropped by the token
 *   log-out             the token forgets the login now
 *   remove-token CODE   the token is gone as long as the line stands, and all sessions are dropped:
 *                       whatever needs it answers CODE
 *   session-limit N     a process can have N sessions open
 *   idle-limit MS       sessions that are not used for so long are dropped
 *
 * A dropped session answers CKR_SESSION_HANDLE_INVALID for ever. With the last session the login is
 * dropped too. Without a login whatever uses keys or objects answers CKR_USER_NOT_LOGGED_IN until
 * the next C_Login; its PIN is not checked, since the real module knows of no logout.
 *
 * Examples:
 *
 *   C_SignInit,C_Sign delay 2 jitter 0.5            # a token in the next room
 *   C_Sign return CKR_DEVICE_ERROR times 3          # the next three fail
 *   C_Sign return-after 0x80000123 skip 10 every 5  # the 15th, 20th, 25th and so on
 *   * return CKR_GENERAL_ERROR chance 0.05          # one call in twenty
 *   C_FindObjects hang
 *   C_SignInit use-key other-key times 1
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "counters.h"
#include "cryptoki.h"
#include "plan.h"
#include "sessions.h"

#define HANG_POLL_NS 5000000

static CK_FUNCTION_LIST *real;

/* One call of a function, on its way through the shim. */
struct call {
  enum function function;
  CK_SESSION_HANDLE session;
  /* What it answers. */
  CK_RV rv;
  /* The caller's place for the MAC and its length, where the function makes one. */
  unsigned char *output;
  CK_ULONG *output_length;
  /* The key's handle, where the function can be given another one. */
  CK_OBJECT_HANDLE *key;
  /* What becomes of the real call's answer. */
  bool answer_is_lost;
  CK_RV rv_after;
  bool flips_bit;
  CK_ULONG shorten_by;
  bool is_spoilt;
};

static void hang(const struct plan *plan, bool forever) {
  while (forever || control_plan() == plan) clock_sleep_ns(HANG_POLL_NS);
}

/* Sleeps outside of all locks: other sessions sleep at the same time. */
static void delay(enum function function, const struct rule *rule, double random) {
  static _Thread_local int64_t overslept_ns;
  int64_t start_ns = clock_now_ns();
  int64_t wanted_ns = rule->delay_ns + (int64_t)(random * (double)rule->jitter_ns);
  if (overslept_ns < wanted_ns) clock_sleep_ns(wanted_ns - overslept_ns);
  int64_t slept_ns = clock_now_ns() - start_ns;
  overslept_ns += slept_ns - wanted_ns;
  /* A machine that stood still for long is no reason for many calls without a delay. */
  if (overslept_ns > wanted_ns) overslept_ns = wanted_ns;
  counters_add_delay(function, slept_ns);
}

static void die_of_segfault(void) {
  volatile char *volatile nothing = NULL;
  *nothing = 0;
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, const char *label) {
  CK_ATTRIBUTE attribute = {CKA_LABEL, (void *)label, strlen(label)};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  CK_ULONG found = 0;
  if (real->C_FindObjectsInit(session, &attribute, 1) != CKR_OK) return CK_INVALID_HANDLE;
  real->C_FindObjects(session, &key, 1, &found);
  real->C_FindObjectsFinal(session);
  return found == 1 ? key : CK_INVALID_HANDLE;
}

/* Counts a call that is not answered as the real module would do, once and before it is done. */
static void spoil(struct call *call) {
  if (!call->is_spoilt) counters_add_fault(call->function);
  call->is_spoilt = true;
}

/* Answers the call without the real module. */
static bool refuse(struct call *call, CK_RV rv) {
  spoil(call);
  call->rv = rv;
  return false;
}

static bool use_key(struct call *call, const char *label) {
  *call->key = find_key(call->session, label);
  if (*call->key != CK_INVALID_HANDLE) return true;
  fprintf(stderr, "pkcs11-shim: no key has the label \"%s\"\n", label);
  return refuse(call, CKR_ARGUMENTS_BAD);
}

/* Says whether the call goes on. */
static bool act(const struct plan *plan, size_t index, uint64_t number, struct call *call) {
  const struct rule *rule = &plan->rules[index];
  if (rule->action == DELAY) {
    /* Drawn apart from the rule's chance. */
    delay(call->function, rule, plan_random(plan, ~index, number));
    return true;
  }
  spoil(call);
  switch (rule->action) {
    case RETURN:
      return refuse(call, rule->number);
    case RETURN_AFTER:
      call->answer_is_lost = true;
      call->rv_after = rule->number;
      return true;
    case HANG:
    case HANG_FOREVER:
      hang(plan, rule->action == HANG_FOREVER);
      return true;
    case ABORT:
      abort();
    case SEGFAULT:
      die_of_segfault();
      return true;
    case EXIT:
      _exit((int)rule->number);
    case LOSE_SESSION:
      sessions_lose(call->session);
      return refuse(call, CKR_SESSION_HANDLE_INVALID);
    case FLIP_BIT:
      call->flips_bit = true;
      return true;
    case SHORTEN:
      call->shorten_by = rule->number;
      return true;
    case USE_KEY:
      return use_key(call, rule->label);
    case DELAY:
      break;
  }
  return true;
}

static bool needs_login(enum function function) {
  return function >= FUNCTION_C_CreateObject && function <= FUNCTION_C_DeriveKey;
}

/* What the token's state makes of a call, whatever the rules say. */
static CK_RV state_of_token(const struct plan *plan, const struct call *call) {
  if (call->function < FIRST_TOKEN_FUNCTION) return CKR_OK;
  bool lost = call->session != CK_INVALID_HANDLE &&
              sessions_is_lost(call->session, plan->idle_limit_ns);
  if (plan->removed != CKR_OK) return plan->removed;
  if (lost) return CKR_SESSION_HANDLE_INVALID;
  if (needs_login(call->function) && sessions_are_logged_out()) return CKR_USER_NOT_LOGGED_IN;
  return CKR_OK;
}

static bool intervene(const struct plan *plan, struct call *call) {
  if (plan->invalid) return refuse(call, CKR_ARGUMENTS_BAD);
  CK_RV state = state_of_token(plan, call);
  if (state != CKR_OK) return refuse(call, state);
  for (size_t i = 0; i < plan->rule_count; i++) {
    uint64_t number;
    if (!plan->rules[i].functions[call->function]) continue;
    if (plan_rule_acts(plan, i, &number) && !act(plan, i, number, call)) return false;
  }
  return true;
}

/* Says whether the real call is to be made. */
static bool begin(struct call *call) {
  const struct plan *plan = control_plan();
  counters_add_call(call->function);
  if (plan_is_empty(plan) && !sessions_are_impaired()) return true;
  return intervene(plan, call);
}

static void spoil_output(const struct call *call) {
  if (call->rv != CKR_OK || call->output == NULL || *call->output_length == 0) return;
  if (call->flips_bit) call->output[0] ^= 1;
  CK_ULONG length = *call->output_length;
  *call->output_length = length > call->shorten_by ? length - call->shorten_by : 0;
}

/* Says what the caller gets. */
static CK_RV end(struct call *call) {
  spoil_output(call);
  return call->answer_is_lost ? call->rv_after : call->rv;
}

/* Every function as it is without anything of its own. */
#define F(name, in_session, parameters, arguments) \
  static CK_RV pass_##name parameters { \
    struct call call = {.function = FUNCTION_##name, .session = in_session}; \
    if (begin(&call)) call.rv = real->name arguments; \
    return end(&call); \
  }
CK_FUNCTIONS(F)
#undef F

static CK_RV finalize(void *reserved) {
  CK_RV rv = pass_C_Finalize(reserved);
  if (rv == CKR_OK) sessions_finalized();
  return rv;
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count) {
  CK_RV removed = control_plan()->removed;
  CK_RV rv = pass_C_GetSlotList(present, slots, count);
  if (removed == CKR_OK || rv != removed || !present) return rv;
  *count = 0;
  return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_ULONG flags, void *application, void *notify,
                          CK_SESSION_HANDLE *session) {
  struct call call = {.function = FUNCTION_C_OpenSession};
  if (!begin(&call)) return end(&call);
  const struct plan *plan = control_plan();
  if (!sessions_reserve(plan->session_limit, plan->idle_limit_ns)) {
    refuse(&call, CKR_SESSION_COUNT);
    return end(&call);
  }
  call.rv = real->C_OpenSession(slot, flags, application, notify, session);
  if (call.rv == CKR_OK) sessions_opened(slot, *session);
  else sessions_not_opened();
  return end(&call);
}

/* A session that is lost is closed in the real module all the same, or it would stay for ever. */
static CK_RV close_session(CK_SESSION_HANDLE session) {
  struct call call = {.function = FUNCTION_C_CloseSession, .session = session};
  if (begin(&call)) {
    call.rv = real->C_CloseSession(session);
    if (call.rv == CKR_OK) sessions_closed(session);
  } else if (sessions_is_lost(session, 0)) {
    real->C_CloseSession(session);
    sessions_closed(session);
  }
  return end(&call);
}

static CK_RV close_all_sessions(CK_SLOT_ID slot) {
  CK_RV rv = pass_C_CloseAllSessions(slot);
  if (rv == CKR_OK) sessions_closed_all(slot);
  return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_ULONG user, void *pin, CK_ULONG pin_length) {
  bool logged_out = sessions_are_logged_out();
  CK_RV rv = pass_C_Login(session, user, pin, pin_length);
  if (logged_out && rv == CKR_USER_ALREADY_LOGGED_IN) rv = CKR_OK;
  if (rv == CKR_OK) sessions_logged_in();
  return rv;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, void *mechanism, CK_OBJECT_HANDLE key) {
  struct call call = {.function = FUNCTION_C_SignInit, .session = session, .key = &key};
  if (begin(&call)) call.rv = real->C_SignInit(session, mechanism, key);
  return end(&call);
}

static CK_RV verify_init(CK_SESSION_HANDLE session, void *mechanism, CK_OBJECT_HANDLE key) {
  struct call call = {.function = FUNCTION_C_VerifyInit, .session = session, .key = &key};
  if (begin(&call)) call.rv = real->C_VerifyInit(session, mechanism, key);
  return end(&call);
}

static CK_RV sign(CK_SESSION_HANDLE session, void *data, CK_ULONG data_length, void *output,
                  CK_ULONG *length) {
  struct call call = {FUNCTION_C_Sign, session, .output = output, .output_length = length};
  if (begin(&call)) call.rv = real->C_Sign(session, data, data_length, output, length);
  return end(&call);
}

static CK_RV sign_final(CK_SESSION_HANDLE session, void *output, CK_ULONG *length) {
  struct call call = {FUNCTION_C_SignFinal, session, .output = output, .output_length = length};
  if (begin(&call)) call.rv = real->C_SignFinal(session, output, length);
  return end(&call);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

static CK_FUNCTION_LIST functions = {
    .major = 2,
    .minor = 40,
    .C_GetFunctionList = C_GetFunctionList,
#define F(name, session, parameters, arguments) .name = pass_##name,
    CK_FUNCTIONS(F)
#undef F
};

static bool load_real_module(void) {
  const char *file = getenv("PKCS11_SHIM_MODULE");
  void *module = file == NULL ? NULL : dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    fprintf(stderr, "pkcs11-shim: PKCS11_SHIM_MODULE: %s\n", file == NULL ? "not set" : dlerror());
    return false;
  }
  CK_RV (*get_list)(CK_FUNCTION_LIST **) =
      (CK_RV(*)(CK_FUNCTION_LIST **))dlsym(module, "C_GetFunctionList");
  if (get_list != NULL && get_list(&real) == CKR_OK) return true;
  fprintf(stderr, "pkcs11-shim: %s is no PKCS#11 module\n", file);
  return false;
}

static bool is_loaded;

static void load(void) {
  functions.C_Finalize = finalize;
  functions.C_GetSlotList = get_slot_list;
  functions.C_OpenSession = open_session;
  functions.C_CloseSession = close_session;
  functions.C_CloseAllSessions = close_all_sessions;
  functions.C_Login = login;
  functions.C_SignInit = sign_init;
  functions.C_VerifyInit = verify_init;
  functions.C_Sign = sign;
  functions.C_SignFinal = sign_final;
  control_open(getenv("PKCS11_SHIM_CONTROL"));
  is_loaded = load_real_module() && counters_open(getenv("PKCS11_SHIM_COUNTERS"));
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  if (!is_loaded) return CKR_GENERAL_ERROR;
  *list = &functions;
  return CKR_OK;
}
