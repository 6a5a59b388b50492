/* visit counts its calls; of a guest that is fresh for each call, each is the first. */
#include "apphost.h"

static volatile char pages[4 * 4096];
static int32_t visits;

APPHOST_EXPORT("process_connection")
int32_t process_connection(void)
{
    for (unsigned at = 0; at < sizeof pages; at += 4096)
        pages[at]++;
    return visits++;
}
