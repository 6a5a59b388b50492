/* visits tells each client which one it is, and what the one before has said. */
#include <stdio.h>
#include <string.h>

#include "apphost.h"

/* line reads a line, without its end, and returns 0 if there is none. */
static int line(char *buf, uint32_t size)
{
    uint32_t len = 0;
    while (len < size - 1) {
        int32_t n = apphost_read(buf + len, size - 1 - len);
        if (n <= 0)
            break;
        len += (uint32_t)n;
        char *end = memchr(buf, '\n', len);
        if (end) {
            len = (uint32_t)(end - buf);
            break;
        }
    }
    buf[len] = 0;
    return len > 0;
}

int main(void)
{
    char last[80] = "nobody", name[80], answer[200];

    for (int visit = 1; apphost_accept() == 0; visit++) {
        if (!line(name, sizeof name))
            continue;
        int n = snprintf(answer, sizeof answer, "Hello %s. You are number %d; before you came %s.\n", name, visit, last);
        apphost_write(answer, (uint32_t)n);
        strcpy(last, name);
    }
    return 1;
}
