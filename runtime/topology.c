#include "runtime/topology.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"

static void read_processor(hwloc_topology_t topology, char *text, size_t size) {
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *name = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    snprintf(text, size, "%s", name ? name : "unknown");
}

static int numa_node_of(hwloc_topology_t topology, hwloc_const_cpuset_t bound) {
    int found = 0;
    for (hwloc_obj_t node = NULL;
         (node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node));) {
        if (!hwloc_bitmap_intersects(node->cpuset, bound))
            continue;
        if (found > 0)
            return 0;
        found = (int)node->logical_index + 1;
    }
    return found;
}

int qd_topology_read(qd_topology *out) {
    hwloc_topology_t topology;
    qd_topology found = {.cores = 1};
    int rc = 0;
    if (hwloc_topology_init(&topology) < 0)
        return qd_error_set(QD_EINTERNAL, "hwloc cannot start");
    hwloc_cpuset_t bound = hwloc_bitmap_alloc();
    if (!bound || hwloc_topology_load(topology) < 0) {
        rc = qd_error_set(QD_EINTERNAL, "hwloc cannot read this machine's topology");
        goto out;
    }
    if (hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) < 0)
        hwloc_bitmap_copy(bound, hwloc_topology_get_allowed_cpuset(topology));
    int cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, bound, HWLOC_OBJ_CORE);
    /* Bound to one hardware thread of a core, no core lies wholly inside the set. */
    found.cores = cores > 0 ? cores : 1;
    hwloc_bitmap_list_snprintf(found.binding, sizeof found.binding, bound);
    found.numa_node = numa_node_of(topology, bound);
    found.memory_bytes = (int64_t)hwloc_get_root_obj(topology)->total_memory;
    read_processor(topology, found.processor, sizeof found.processor);
    *out = found;
out:
    hwloc_bitmap_free(bound);
    hwloc_topology_destroy(topology);
    return rc;
}
