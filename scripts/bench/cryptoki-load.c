/*
 * cryptoki-load MODULE TOKEN KEY token|session THREADS SECONDS
 *
 * Has threads, each with a session of its own, sign the same data with a key over and over through a
 * PKCS#11 module, and proves every MAC. TOKEN and KEY are labels. `session` signs with a copy of the
 * key that is a session object. Its standard input has the PIN, the data and their MAC, the latter
 * two in hexadecimal, in a line each. Prints {"operations": N, "seconds": N}.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cryptoki.h"

#define MAX_SLOTS 64
#define MAX_THREADS 64
#define MAX_SECONDS 600
#define MAX_DATA_BYTES 4096
#define MAC_BYTES 32

/* Longer than any MAC: some modules write more than the given length. */
#define OUTPUT_BYTES 64

#define CKF_OS_LOCKING_OK 2UL
#define CKF_RW_SESSION 2UL
#define CKF_SERIAL_SESSION 4UL
#define CKU_USER 1UL
#define CKA_CLASS 0UL
#define CKA_TOKEN 1UL
#define CKO_SECRET_KEY 4UL
#define CKM_SHA256_HMAC 0x251UL

/* Structures of which the rest is not needed: what a module fills has room. */
struct initialize_arguments {
  void *functions[4];
  CK_ULONG flags;
  void *reserved;
};

struct token_info {
  char label[32];
  char rest[512];
};

struct mechanism {
  CK_ULONG type;
  void *parameter;
  CK_ULONG length;
};

struct job {
  const CK_FUNCTION_LIST *module;
  CK_SLOT_ID slot;
  CK_OBJECT_HANDLE key;
  unsigned char data[MAX_DATA_BYTES];
  size_t data_bytes;
  unsigned char mac[MAC_BYTES];
  pthread_barrier_t start;
  atomic_bool is_over;
};

struct worker {
  pthread_t thread;
  struct job *job;
  uint64_t operations;
};

static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("cryptoki-load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  /* Other threads may be in a call: no handler of the module's may run. */
  _Exit(EXIT_FAILURE);
}

static void check(CK_RV value, const char *call) {
  if (value != CKR_OK) die("%s answered 0x%lx", call, value);
}

#define CALL(module, name, ...) check((module)->name(__VA_ARGS__), #name)

static CK_FUNCTION_LIST *load(const char *file) {
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) die("%s", dlerror());
  CK_RV (*get_list)(CK_FUNCTION_LIST **) =
      (CK_RV(*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList");
  if (!get_list) die("%s is no PKCS#11 module", file);
  CK_FUNCTION_LIST *module;
  check(get_list(&module), "C_GetFunctionList");
  struct initialize_arguments arguments = {.flags = CKF_OS_LOCKING_OK};
  CALL(module, C_Initialize, &arguments);
  return module;
}

static bool has_label(const struct token_info *info, const char *label) {
  size_t length = strlen(label);
  if (length > sizeof info->label || memcmp(info->label, label, length) != 0) return false;
  for (; length < sizeof info->label; length++) {
    if (info->label[length] != ' ') return false;
  }
  return true;
}

static CK_SLOT_ID find_token(const CK_FUNCTION_LIST *module, const char *label) {
  CK_SLOT_ID slots[MAX_SLOTS];
  CK_ULONG count = MAX_SLOTS;
  CALL(module, C_GetSlotList, true, slots, &count);
  for (CK_ULONG i = 0; i < count; i++) {
    struct token_info info;
    CALL(module, C_GetTokenInfo, slots[i], &info);
    if (has_label(&info, label)) return slots[i];
  }
  die("there is no token %s", label);
  return 0;
}

static CK_SESSION_HANDLE open_session(const CK_FUNCTION_LIST *module, CK_SLOT_ID slot) {
  CK_SESSION_HANDLE session;
  CALL(module, C_OpenSession, slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
  return session;
}

static CK_OBJECT_HANDLE find_key(const CK_FUNCTION_LIST *module, CK_SESSION_HANDLE session,
                                 char *label) {
  CK_ULONG class = CKO_SECRET_KEY;
  CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, strlen(label)}};
  CK_OBJECT_HANDLE keys[2];
  CK_ULONG count;
  CALL(module, C_FindObjectsInit, session, wanted, 2);
  CALL(module, C_FindObjects, session, keys, 2, &count);
  CALL(module, C_FindObjectsFinal, session);
  if (count != 1) die("there is not one key %s", label);
  return keys[0];
}

/* The copy lives as long as the session. */
static CK_OBJECT_HANDLE copy_key(const CK_FUNCTION_LIST *module, CK_SESSION_HANDLE session,
                                 CK_OBJECT_HANDLE key) {
  CK_BBOOL is_token_object = false;
  CK_ATTRIBUTE token = {CKA_TOKEN, &is_token_object, sizeof is_token_object};
  CK_OBJECT_HANDLE copy;
  CALL(module, C_CopyObject, session, key, &token, 1, &copy);
  is_token_object = true;
  CALL(module, C_GetAttributeValue, session, copy, &token, 1);
  if (is_token_object) die("the copy of the key is a token object");
  return copy;
}

static void sign(const struct job *job, CK_SESSION_HANDLE session) {
  struct mechanism mechanism = {.type = CKM_SHA256_HMAC};
  unsigned char output[OUTPUT_BYTES];
  CK_ULONG length = sizeof output;
  CALL(job->module, C_SignInit, session, &mechanism, job->key);
  CALL(job->module, C_Sign, session, (void *)job->data, job->data_bytes, output, &length);
  if (length != MAC_BYTES || memcmp(output, job->mac, MAC_BYTES) != 0) die("a MAC is wrong");
}

static void *work(void *argument) {
  struct worker *worker = argument;
  struct job *job = worker->job;
  CK_SESSION_HANDLE session = open_session(job->module, job->slot);
  /* Not in the worker itself: neighbours would share its cache line. */
  uint64_t operations = 0;
  pthread_barrier_wait(&job->start);
  while (!atomic_load_explicit(&job->is_over, memory_order_relaxed)) {
    sign(job, session);
    operations++;
  }
  worker->operations = operations;
  return NULL;
}

static void run(struct job *job, unsigned threads, unsigned seconds) {
  struct worker workers[MAX_THREADS];
  pthread_barrier_init(&job->start, NULL, threads + 1);
  for (unsigned i = 0; i < threads; i++) {
    workers[i] = (struct worker){.job = job};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) die("no more threads");
  }
  pthread_barrier_wait(&job->start);
  int64_t started_ns = clock_now_ns();
  clock_sleep_ns((int64_t)seconds * NS_PER_S);
  atomic_store(&job->is_over, true);
  uint64_t operations = 0;
  for (unsigned i = 0; i < threads; i++) {
    pthread_join(workers[i].thread, NULL);
    operations += workers[i].operations;
  }
  double taken_s = (double)(clock_now_ns() - started_ns) / NS_PER_S;
  printf("{\"operations\": %" PRIu64 ", \"seconds\": %.6f}\n", operations, taken_s);
}

static char *read_line(char *line, int size) {
  if (!fgets(line, size, stdin)) die("standard input has fewer than 3 lines");
  line[strcspn(line, "\n")] = '\0';
  return line;
}

static size_t read_hex(unsigned char *bytes, size_t size) {
  char line[2 * MAX_DATA_BYTES + 2];
  read_line(line, sizeof line);
  size_t length = strlen(line) / 2;
  if (length > size || line[2 * length]) die("a line has too many digits or an odd number");
  for (size_t i = 0; i < length; i++) {
    if (sscanf(&line[2 * i], "%2hhx", &bytes[i]) != 1) die("a line is not hexadecimal");
  }
  return length;
}

static unsigned read_count(const char *text, unsigned max) {
  char *end;
  unsigned long count = strtoul(text, &end, 10);
  if (*end || count < 1 || count > max) die("%s is not a number from 1 to %u", text, max);
  return count;
}

int main(int argc, char **argv) {
  if (argc != 7) die("usage: MODULE TOKEN KEY token|session THREADS SECONDS");
  bool is_copy = strcmp(argv[4], "session") == 0;
  if (!is_copy && strcmp(argv[4], "token") != 0) die("there is no kind of object %s", argv[4]);
  unsigned threads = read_count(argv[5], MAX_THREADS);
  unsigned seconds = read_count(argv[6], MAX_SECONDS);
  char pin[256];
  static struct job job;
  read_line(pin, sizeof pin);
  job.data_bytes = read_hex(job.data, sizeof job.data);
  if (read_hex(job.mac, sizeof job.mac) != MAC_BYTES) die("a MAC has %d bytes", MAC_BYTES);

  job.module = load(argv[1]);
  job.slot = find_token(job.module, argv[2]);
  CK_SESSION_HANDLE session = open_session(job.module, job.slot);
  CALL(job.module, C_Login, session, CKU_USER, pin, strlen(pin));
  job.key = find_key(job.module, session, argv[3]);
  if (is_copy) job.key = copy_key(job.module, session, job.key);
  sign(&job, session);
  run(&job, threads, seconds);
  CALL(job.module, C_Finalize, NULL);
  return EXIT_SUCCESS;
}
