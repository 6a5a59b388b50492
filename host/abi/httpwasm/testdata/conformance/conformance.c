/* conformance makes the calls of the http-wasm ABI that its configuration says,
 * one a line, and logs what they returned. The configuration has three parts, with
 * a line "---" between them: for _initialize, handle_request and handle_response.
 *
 * A result is a number, or the upper and lower half of a 64-bit one, and then the
 * buffer up to one byte beyond its limit: '.' is a byte that was not written, '|'
 * is NUL. "return CTX NEXT" is what handle_request returns, 0 without it.
 *
 * main.go is the same in Go. */
#include "apphost.h"

static char script[4096], out[512], buf[128];
static uint32_t out_len;
static int64_t result;

static const char *field[4]; /* the words of a line */
static uint32_t field_len[4];

/* clang makes calls of these out of loops. */
void *memset(void *to, int c, unsigned long n)
{
    for (volatile char *p = to; n-- > 0; p++)
        *p = (char)c;
    return to;
}

static void put(const char *p, uint32_t len)
{
    for (uint32_t i = 0; i < len && out_len < sizeof out; i++)
        out[out_len++] = p[i] ? p[i] : '|';
}

static void put_text(const char *p)
{
    for (; *p; p++)
        put(p, 1);
}

static void put_number(uint32_t n)
{
    char digits[10];
    uint32_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    put(digits + at, sizeof digits - at);
}

static void send(void)
{
    http_log(APPHOST_LOG_INFO, out, out_len);
    out_len = 0;
}

static uint32_t number(int i)
{
    uint32_t n = 0;
    int negative = field_len[i] > 0 && field[i][0] == '-';
    for (uint32_t at = negative ? 1 : 0; at < field_len[i]; at++)
        n = n * 10 + (uint32_t)(field[i][at] - '0');
    return negative ? -n : n;
}

static int is(const char *name)
{
    uint32_t i = 0;
    for (; name[i] && i < field_len[0]; i++)
        if (name[i] != field[0][i])
            return 0;
    return !name[i] && i == field_len[0];
}

static void one(uint32_t n)
{
    put_number(n);
    send();
}

static void shown(uint32_t n, uint32_t limit)
{
    put_number(n);
    put_text(" ");
    put(buf, limit + 1);
    send();
}

static void two(uint64_t n, uint32_t limit)
{
    put_number((uint32_t)(n >> 32));
    put_text(",");
    shown((uint32_t)n, limit);
}

static void split(const char *line, const char *end)
{
    for (int i = 0; i < 4; i++) {
        field[i] = line;
        while (line < end && *line != ' ')
            line++;
        field_len[i] = (uint32_t)(line - field[i]);
        if (line < end)
            line++;
    }
}

static void call(const char *line, const char *end)
{
    split(line, end);
    memset(buf, '.', sizeof buf);
    out_len = 0;
    put(line, (uint32_t)(end - line));
    put_text(" -> ");

    if (is("enable"))
        one(http_enable_features(number(1)));
    else if (is("config"))
        shown(http_get_config(buf, number(1)), number(1));
    else if (is("level"))
        one(http_log_enabled((int32_t)number(1)));
    else if (is("log"))
        http_log((int32_t)number(1), field[2], field_len[2]);
    else if (is("method"))
        shown(http_get_method(buf, number(1)), number(1));
    else if (is("setmethod"))
        http_set_method(field[1], field_len[1]);
    else if (is("uri"))
        shown(http_get_uri(buf, number(1)), number(1));
    else if (is("seturi"))
        http_set_uri(field[1], field_len[1]);
    else if (is("proto"))
        shown(http_get_protocol_version(buf, number(1)), number(1));
    else if (is("addr"))
        shown(http_get_source_addr(buf, number(1)), number(1));
    else if (is("wild"))
        http_set_method(buf, 0xffffffff);
    else if (is("names"))
        two(http_get_header_names(number(1), buf, number(2)), number(2));
    else if (is("values"))
        two(http_get_header_values(number(1), field[2], field_len[2], buf, number(3)), number(3));
    else if (is("set"))
        http_set_header_value(number(1), field[2], field_len[2], field[3], field_len[3]);
    else if (is("add"))
        http_add_header_value(number(1), field[2], field_len[2], field[3], field_len[3]);
    else if (is("remove"))
        http_remove_header(number(1), field[2], field_len[2]);
    else if (is("read"))
        two(http_read_body(number(1), buf, number(2)), number(2));
    else if (is("write"))
        http_write_body(number(1), field[2], field_len[2]);
    else if (is("status"))
        one(http_get_status_code());
    else if (is("setstatus"))
        http_set_status_code(number(1));
    else if (is("return"))
        result = (int64_t)number(1) << 32 | number(2);
    else
        __builtin_trap();
}

static void run(int part)
{
    uint32_t len = http_get_config(0, 0);
    if (http_get_config(script, sizeof script) != len || len > sizeof script)
        __builtin_trap();
    const char *end = script + len;
    for (const char *line = script; line < end;) {
        const char *stop = line;
        while (*stop != '\n')
            stop++;
        if (*line == '-')
            part--;
        else if (part == 0)
            call(line, stop);
        line = stop + 1;
    }
}

APPHOST_EXPORT("_initialize")
void initialize(void)
{
    run(0);
}

APPHOST_EXPORT("handle_request")
int64_t handle_request(void)
{
    run(1);
    return result;
}

APPHOST_EXPORT("handle_response")
void handle_response(int32_t ctx, int32_t is_error)
{
    out_len = 0;
    put_text("handle_response ");
    put_number((uint32_t)ctx);
    put_text(" ");
    put_number((uint32_t)is_error);
    send();
    run(2);
}
