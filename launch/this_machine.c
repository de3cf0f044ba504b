#include <string.h>
#include <unistd.h>

#include "cpu_2.h"
#include "launch/choose_layout.h"
#include "runtime/topology.h"

int qd_this_machine(int ranks, int hosts, qd_hardware *hardware) {
    qd_topology topology;
    qd_hardware h;
    int rc = qd_hardware_parse("conf/clusters/cpu-2.yaml", cpu_2, strlen(cpu_2), &h);
    if (!rc)
        rc = qd_topology_read(&topology);
    if (rc)
        return rc;
    h.nodes = hosts > 1 ? 0 : 1;
    h.devices = ranks < topology.cores ? ranks : topology.cores;
    h.memory_bytes =
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (double)ranks;
    *hardware = h;
    return 0;
}
