#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME_BYTES 24

/* How many versions of the control file the file remembers; the oldest is forgotten first. */
#define PLANS 64

/* Apart from each other, since processors pass what they write around by 64 bytes. */
struct function_counts {
  _Alignas(64) char name[NAME_BYTES];
  _Atomic uint64_t calls;
  _Atomic uint64_t faults;
  _Atomic uint64_t delay_ns;
};

struct plan_counts {
  struct identity identity;
  struct rule_counts counts;
};

/* The file's content. */
struct counters {
  /* The last one has no name. */
  struct function_counts functions[FUNCTION_COUNT + 1];
  uint64_t plans_made;
  struct plan_counts plans[PLANS];
};

static struct counters *counters;

/* -1 when the counters are this process's own. */
static int file_descriptor = -1;

static void *map(const char *file) {
  if (file == NULL) {
    return mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  file_descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_descriptor < 0 || ftruncate(file_descriptor, sizeof(struct counters)) != 0) {
    return MAP_FAILED;
  }
  return mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, file_descriptor,
              0);
}

bool counters_open(const char *file) {
  counters = map(file);
  if (counters == MAP_FAILED) {
    fprintf(stderr, "pkcs11-shim: counters %s: %s\n", file, strerror(errno));
    return false;
  }
#define F(function, session, parameters, arguments) \
  strncpy(counters->functions[FUNCTION_##function].name, #function, NAME_BYTES);
  CK_FUNCTIONS(F)
#undef F
  return true;
}

void counters_add_call(enum function function) {
  counters_add(&counters->functions[function].calls);
}

void counters_add_fault(enum function function) {
  counters_add(&counters->functions[function].faults);
}

void counters_add_delay(enum function function, int64_t ns) {
  _Atomic uint64_t *sum = &counters->functions[function].delay_ns;
  atomic_fetch_add_explicit(sum, (uint64_t)ns, memory_order_relaxed);
}

static struct rule_counts *find_or_make(const struct identity *identity) {
  for (size_t i = 0; i < PLANS; i++) {
    struct plan_counts *plan = &counters->plans[i];
    if (memcmp(&plan->identity, identity, sizeof *identity) == 0) return &plan->counts;
  }
  struct plan_counts *plan = &counters->plans[counters->plans_made++ % PLANS];
  memset(plan, 0, sizeof *plan);
  plan->identity = *identity;
  return &plan->counts;
}

struct rule_counts *counters_of_plan(const struct identity *identity) {
  /* Another process may be reading the same control file for the first time, too. */
  if (file_descriptor >= 0) flock(file_descriptor, LOCK_EX);
  struct rule_counts *counts = find_or_make(identity);
  if (file_descriptor >= 0) flock(file_descriptor, LOCK_UN);
  return counts;
}
