/* hello answers every request with a line of text; ?name=X is greeted by name. */
#include "apphost.h"

#define LENGTH(literal) (sizeof(literal) - 1)

static char uri[1024];
static char line[64 + sizeof uri];

static uint32_t append(uint32_t at, const char *text, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        line[at + i] = text[i];
    return at + len;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20; /* to lower case */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes the form-encoded text up to the next '&' onto the line. */
static uint32_t append_decoded(uint32_t at, const char *p, const char *end)
{
    for (; p < end && *p != '&' && *p != '#'; p++) {
        char c = *p == '+' ? ' ' : *p;
        if (c == '%' && end - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
            c = (char)(hex(p[1]) << 4 | hex(p[2]));
            p += 2;
        }
        line[at++] = c;
    }
    return at;
}

/* Returns the start of the value of the query parameter "name", or end. */
static const char *find_name(const char *p, const char *end)
{
    while (p < end && *p != '?')
        p++;
    while (p < end) { /* *p is the '?' or '&' before a parameter */
        if (end - p > 6 && p[1] == 'n' && p[2] == 'a' && p[3] == 'm' && p[4] == 'e' && p[5] == '=')
            return p + 6;
        for (p++; p < end && *p != '&'; p++)
            ;
    }
    return end;
}

APPHOST_EXPORT("handle_request")
int64_t handle_request(void)
{
    uint32_t len = http_get_uri(uri, sizeof uri);
    if (len > sizeof uri)
        len = 0; /* too long to be written: greet without a name */
    const char *end = uri + len, *name = find_name(uri, end);

    uint32_t at = append(0, "Hello", LENGTH("Hello"));
    if (name < end && *name != '&') {
        at = append(at, " ", LENGTH(" "));
        at = append_decoded(at, name, end);
        at = append(at, ",", LENGTH(","));
    }
    at = append(at, " from WebAssembly!\n", LENGTH(" from WebAssembly!\n"));

    static const char type[] = "content-type", text[] = "text/plain; charset=utf-8";
    http_set_header_value(HTTP_RESPONSE, type, LENGTH(type), text, LENGTH(text));
    http_write_body(HTTP_RESPONSE, line, at);
    return 0; /* the response is complete */
}

APPHOST_EXPORT("handle_response")
void handle_response(int32_t ctx, int32_t is_error)
{
    /* Only called after handle_request returned HTTP_NEXT. */
    (void)ctx;
    (void)is_error;
}
