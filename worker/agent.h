/*
 * agent.h: a worker's side of the conversation with the scheduler: says hello, obeys, trains what
 * it is given, and leaves when told or when the scheduler has fallen silent. One attempt at a
 * time; a word about another attempt than the present one changes nothing.
 */
#ifndef QD_WORKER_AGENT_H
#define QD_WORKER_AGENT_H

#include "runtime/wire.h"
#include "runtime/world.h"

/*
 * Serves until the scheduler says goodbye. 0 then; QD_ELOST when the scheduler fell silent;
 * QD_EPROTO, QD_EINTERNAL when the conversation broke down. A job that fails is no failure of the
 * agent: it is reported and the agent goes on.
 */
int qd_agent_run(const qd_world *world, qd_wire *wire);

#endif
