/*
 * What Linux tells and does, but Node.js offers no function for: who is at the other end of a unix
 * socket, and that a process leaves no core dump.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* The kernel's limit of a process's supplementary groups (NGROUPS_MAX). */
#define MAX_GROUPS 65536

static gid_t groups[MAX_GROUPS];

static napi_value fail(napi_env env, const char *call) {
  napi_throw_error(env, call, strerror(errno));
  return NULL;
}

static bool set(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  return napi_create_double(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

static bool set_groups(napi_env env, napi_value object, const gid_t *ids, size_t count) {
  napi_value list, value;
  if (napi_create_array_with_length(env, count, &list) != napi_ok) return false;
  for (size_t index = 0; index < count; index += 1) {
    if (napi_create_double(env, ids[index], &value) != napi_ok) return false;
    if (napi_set_element(env, list, index, value) != napi_ok) return false;
  }
  return napi_set_named_property(env, object, "groups", list) == napi_ok;
}

/* peerOf(fd): { pid, uid, gid, groups } as they were when the peer connected. */
static napi_value peer_of(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, peer;
  int32_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (count != 1 || napi_get_value_int32(env, argument, &fd) != napi_ok) {
    napi_throw_type_error(env, NULL, "fd must be a number");
    return NULL;
  }

  struct ucred credentials;
  socklen_t bytes = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0)
    return fail(env, "SO_PEERCRED");
  socklen_t group_bytes = sizeof groups;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &group_bytes) != 0)
    return fail(env, "SO_PEERGROUPS");

  if (napi_create_object(env, &peer) != napi_ok || !set(env, peer, "pid", credentials.pid) ||
      !set(env, peer, "uid", credentials.uid) || !set(env, peer, "gid", credentials.gid) ||
      !set_groups(env, peer, groups, group_bytes / sizeof groups[0]))
    return NULL;
  return peer;
}

/*
 * forbidCoreDumps(): no core file, nor one that a program is given which /proc/sys/kernel/core_pattern
 * names, as that ignores the limit. Other processes of this user may not read this one's memory.
 */
static napi_value forbid_core_dumps(napi_env env, napi_callback_info info) {
  (void)info;
  const struct rlimit none = {0, 0};
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail(env, "prctl");
  /* Last, as the filter of a systemd unit may forbid it, which has LimitCORE= for that. */
  if (setrlimit(RLIMIT_CORE, &none) != 0) return fail(env, "setrlimit");
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"peerOf", NULL, peer_of, NULL, NULL, NULL, napi_enumerable, NULL},
      {"forbidCoreDumps", NULL, forbid_core_dumps, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
  return exports;
}
