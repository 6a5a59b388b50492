/* echo sends every byte back as it comes, until the client is done (RFC 862). */
#include "apphost.h"

static char buf[32 * 1024];

APPHOST_EXPORT("process_connection")
int32_t process_connection(void)
{
    for (;;) {
        int32_t n = apphost_read(buf, sizeof buf);
        if (n == 0 || n == -APPHOST_ETIMEDOUT || n == -APPHOST_ECONNRESET)
            return 0; /* the client is done, idle or gone: no fault of ours */
        if (n < 0)
            return n;

        int32_t written = apphost_write(buf, (uint32_t)n);
        if (written == -APPHOST_ECONNRESET || written == -APPHOST_EPIPE)
            return 0;
        if (written < 0)
            return written;
    }
}
