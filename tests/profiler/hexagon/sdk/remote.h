/* What the glue uses of the Hexagon SDK's header of this name; there is no other processor to talk to. */
#ifndef REMOTE_H
#define REMOTE_H

#include <stdint.h>

typedef uint64_t remote_handle64;

#define CDSP_DOMAIN_ID 3
#define CDSP_DOMAIN "&_dom=cdsp"
#define DSPRPC_CONTROL_UNSIGNED_MODULE 2

struct remote_rpc_control_unsigned_module {
    int domain;
    int enable;
};

static inline int remote_session_control(uint32_t request, void *data, uint32_t data_bytes) {
    const struct remote_rpc_control_unsigned_module *wish = data;
    return request == DSPRPC_CONTROL_UNSIGNED_MODULE && data_bytes == sizeof *wish && wish->enable ? 0 : -1;
}

#endif
