/* spin computes for some ten milliseconds without calling its host, and says what came out. */
#include "apphost.h"

APPHOST_EXPORT("handle_request")
int64_t handle_request(void)
{
    uint64_t x = 88172645463325252u;
    for (uint32_t i = 0; i < 5000000; i++) { /* xorshift64 */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    char line[17];
    for (int i = 0; i < 16; i++, x >>= 4)
        line[i] = "0123456789abcdef"[x & 15];
    line[16] = '\n';
    http_write_body(HTTP_RESPONSE, line, sizeof line);
    return 0;
}

APPHOST_EXPORT("handle_response")
void handle_response(int32_t ctx, int32_t is_error)
{
    (void)ctx;
    (void)is_error;
}
