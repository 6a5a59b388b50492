/* random writes the number that child_init drew, and one that it draws now. */
#include "apphost.h"

static uint32_t numbers[2];

APPHOST_EXPORT("child_init") int32_t child_init(void)
{
    numbers[0] = apphost_seed();
    return 0;
}

APPHOST_EXPORT("process_connection") int32_t process_connection(void)
{
    numbers[1] = apphost_seed();
    return apphost_write(numbers, sizeof numbers) == sizeof numbers ? 0 : 1;
}
