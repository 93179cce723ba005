/* Which sessions this process has open, and which of them its token has dropped meanwhile. */
#ifndef SESSIONS_H
#define SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cryptoki.h"

/*
 * A session that is lost stays open in the real module, since another thread may be in a call on it,
 * until the caller closes it; all other calls on it are refused. When no session is left that is not
 * lost, the login is lost with it, as Cryptoki says.
 */

/* Keeps a place for a session that is about to be opened. Says no when LIMIT sessions are there. */
bool sessions_reserve(size_t limit, int64_t idle_limit_ns);

/* The place that was kept is filled, or is not needed. */
void sessions_opened(CK_SLOT_ID slot, CK_SESSION_HANDLE session);
void sessions_not_opened(void);

void sessions_closed(CK_SESSION_HANDLE session);
void sessions_closed_all(CK_SLOT_ID slot);
void sessions_finalized(void);

void sessions_lose(CK_SESSION_HANDLE session);
void sessions_lose_all(void);
void sessions_log_out(void);
void sessions_logged_in(void);
bool sessions_are_logged_out(void);

/* Idle time counts from a moment on. */
void sessions_touch_all(int64_t at_ns);

/* Whether a session is lost or the login is; cheap, for the most frequent path. */
bool sessions_are_impaired(void);

/* Whether a session is lost, perhaps just now since it has been idle for longer than the limit. */
bool sessions_is_lost(CK_SESSION_HANDLE session, int64_t idle_limit_ns);

#endif
