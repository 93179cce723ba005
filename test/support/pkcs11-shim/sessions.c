#include "sessions.h"

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"

#define MAX_SESSIONS 4096

struct session {
  CK_SLOT_ID slot;
  CK_SESSION_HANDLE handle;
  int64_t used_at_ns;
  bool lost;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct session sessions[MAX_SESSIONS];
static size_t count;
static size_t reserved;
static bool logged_out;
static atomic_bool impaired;

static struct session *find(CK_SESSION_HANDLE handle) {
  for (size_t i = 0; i < count; i++) {
    if (sessions[i].handle == handle) return &sessions[i];
  }
  return NULL;
}

static bool is_idle(const struct session *session, int64_t idle_limit_ns, int64_t now_ns) {
  return idle_limit_ns > 0 && now_ns - session->used_at_ns > idle_limit_ns;
}

static size_t count_alive(int64_t idle_limit_ns) {
  int64_t now_ns = clock_now_ns();
  size_t alive = 0;
  for (size_t i = 0; i < count; i++) {
    if (!sessions[i].lost && !is_idle(&sessions[i], idle_limit_ns, now_ns)) alive++;
  }
  return alive;
}

static void update_impaired(void) {
  bool any = logged_out;
  for (size_t i = 0; i < count; i++) any = any || sessions[i].lost;
  atomic_store(&impaired, any);
}

/* To be called when a session has been lost or closed. */
static void update_login(int64_t idle_limit_ns) {
  if (count > 0 && count_alive(idle_limit_ns) == 0) logged_out = true;
  update_impaired();
}

bool sessions_reserve(size_t limit, int64_t idle_limit_ns) {
  pthread_mutex_lock(&lock);
  bool room = count_alive(idle_limit_ns) + reserved < limit && count + reserved < MAX_SESSIONS;
  if (room) reserved++;
  pthread_mutex_unlock(&lock);
  return room;
}

void sessions_opened(CK_SLOT_ID slot, CK_SESSION_HANDLE handle) {
  pthread_mutex_lock(&lock);
  reserved--;
  sessions[count++] = (struct session){slot, handle, clock_now_ns(), false};
  pthread_mutex_unlock(&lock);
}

void sessions_not_opened(void) {
  pthread_mutex_lock(&lock);
  reserved--;
  pthread_mutex_unlock(&lock);
}

void sessions_closed(CK_SESSION_HANDLE handle) {
  pthread_mutex_lock(&lock);
  struct session *session = find(handle);
  if (session != NULL) *session = sessions[--count];
  update_login(0);
  pthread_mutex_unlock(&lock);
}

void sessions_closed_all(CK_SLOT_ID slot) {
  pthread_mutex_lock(&lock);
  for (size_t i = count; i-- > 0;) {
    if (sessions[i].slot == slot) sessions[i] = sessions[--count];
  }
  update_login(0);
  pthread_mutex_unlock(&lock);
}

void sessions_finalized(void) {
  pthread_mutex_lock(&lock);
  count = 0;
  logged_out = false;
  update_impaired();
  pthread_mutex_unlock(&lock);
}

void sessions_lose(CK_SESSION_HANDLE handle) {
  pthread_mutex_lock(&lock);
  struct session *session = find(handle);
  if (session != NULL) session->lost = true;
  update_login(0);
  pthread_mutex_unlock(&lock);
}

void sessions_lose_all(void) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < count; i++) sessions[i].lost = true;
  update_login(0);
  pthread_mutex_unlock(&lock);
}

static void set_logged_out(bool value) {
  pthread_mutex_lock(&lock);
  logged_out = value;
  update_impaired();
  pthread_mutex_unlock(&lock);
}

void sessions_log_out(void) { set_logged_out(true); }

void sessions_logged_in(void) { set_logged_out(false); }

bool sessions_are_logged_out(void) {
  pthread_mutex_lock(&lock);
  bool value = logged_out;
  pthread_mutex_unlock(&lock);
  return value;
}

void sessions_touch_all(int64_t at_ns) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < count; i++) sessions[i].used_at_ns = at_ns;
  pthread_mutex_unlock(&lock);
}

bool sessions_are_impaired(void) { return atomic_load_explicit(&impaired, memory_order_relaxed); }

bool sessions_is_lost(CK_SESSION_HANDLE handle, int64_t idle_limit_ns) {
  pthread_mutex_lock(&lock);
  struct session *session = find(handle);
  int64_t now_ns = clock_now_ns();
  if (session != NULL && !session->lost && is_idle(session, idle_limit_ns, now_ns)) {
    session->lost = true;
    update_login(idle_limit_ns);
  }
  bool lost = session != NULL && session->lost;
  if (session != NULL) session->used_at_ns = now_ns;
  pthread_mutex_unlock(&lock);
  return lost;
}
