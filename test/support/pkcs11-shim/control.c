#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "counters.h"
#include "sessions.h"

/* How often the file is looked at: stat() takes a microsecond or two, a call may take less. */
#define LOOK_AGAIN_AFTER_NS 2000000

#define MAX_FILE_BYTES 65536

static const struct plan empty_plan = EMPTY_PLAN;
static const struct plan invalid_plan = {.invalid = true};

static const char *path;
static _Atomic(const struct plan *) current = &empty_plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int64_t look_at_ns;
/* Of the current plan. */
static struct identity identity;

void control_open(const char *file) { path = file; }

static struct identity identity_of(const struct stat *status) {
  return (struct identity){
      .inode = (int64_t)status->st_ino,
      .mtime_ns = (int64_t)status->st_mtim.tv_sec * NS_PER_S + status->st_mtim.tv_nsec,
      .size = status->st_size,
  };
}

/* Reads the whole file into TEXT. Returns its identity, all zero when there is no file. */
static bool read_file(char text[MAX_FILE_BYTES + 1], struct identity *read_identity) {
  *read_identity = (struct identity){0};
  text[0] = '\0';
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT;
  struct stat status;
  ssize_t length = fstat(fd, &status) == 0 ? read(fd, text, MAX_FILE_BYTES + 1) : -1;
  close(fd);
  if (length < 0) return false;
  *read_identity = identity_of(&status);
  if (length > MAX_FILE_BYTES) {
    errno = EFBIG;
    return false;
  }
  text[length] = '\0';
  return true;
}

/* Lets happen what a plan says of the moment at which it appears. */
static void begin_plan(const struct plan *plan) {
  /* The process may have made no call since the file has changed. */
  sessions_touch_all(clock_now_ns() - (clock_wall_ns() - identity.mtime_ns));
  if (plan->lose_sessions || plan->removed != CKR_OK) sessions_lose_all();
  if (plan->log_out) sessions_log_out();
}

static const struct plan *load(void) {
  static char text[MAX_FILE_BYTES + 1];
  if (!read_file(text, &identity)) {
    fprintf(stderr, "pkcs11-shim: %s: %s\n", path, strerror(errno));
    return &invalid_plan;
  }
  struct plan *plan = malloc(sizeof *plan);
  if (plan == NULL) return &invalid_plan;
  *plan = (struct plan)EMPTY_PLAN;
  if (!plan_parse(plan, path, text)) {
    free(plan);
    return &invalid_plan;
  }
  plan->counts = counters_of_plan(&identity);
  begin_plan(plan);
  return plan;
}

static bool has_changed(void) {
  struct stat status;
  struct identity now = {0};
  if (stat(path, &status) == 0) now = identity_of(&status);
  return memcmp(&now, &identity, sizeof now) != 0;
}

static void look(void) {
  pthread_mutex_lock(&lock);
  /* Whoever waited for the lock must not go on with the plan from before. */
  if (clock_now_ns() >= atomic_load(&look_at_ns)) {
    if (has_changed()) atomic_store(&current, load());
    atomic_store(&look_at_ns, clock_now_ns() + LOOK_AGAIN_AFTER_NS);
  }
  pthread_mutex_unlock(&lock);
}

const struct plan *control_plan(void) {
  if (path != NULL && clock_now_ns() >= atomic_load_explicit(&look_at_ns, memory_order_relaxed)) {
    look();
  }
  return atomic_load_explicit(&current, memory_order_acquire);
}
