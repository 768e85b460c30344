/* Writes and reads packets, independent of the connection. */
#include "packets.h"

/* A writer that continues to count when the buffer is full. */
typedef struct writer {
    uint8_t *out;
    size_t capacity, length;
} writer;

static void put(writer *w, unsigned byte)
{
    if (w->length < w->capacity)
        w->out[w->length] = (uint8_t)byte;
    w->length++;
}

static void put_short(writer *w, size_t number)
{
    put(w, (unsigned)(number >> 8) & 255);
    put(w, (unsigned)number & 255);
}

static void put_bytes(writer *w, packet_text text)
{
    for (size_t i = 0; i < text.len; i++)
        put(w, (uint8_t)text.ptr[i]);
}

static void put_text(writer *w, packet_text text)
{
    put_short(w, text.len);
    put_bytes(w, text);
}

/* The first byte, and the length of the rest. */
static void put_head(writer *w, unsigned first, size_t rest)
{
    put(w, first);
    do {
        put(w, (unsigned)(rest & 127) | (rest > 127 ? 128 : 0));
        rest >>= 7;
    } while (rest > 0);
}

static size_t finished(const writer *w)
{
    return w->length <= w->capacity ? w->length : 0;
}

size_t packet_connect(uint8_t *out, size_t capacity, packet_text client_id, packet_text user_name, packet_text password)
{
    writer w = {out, capacity, 0};
    const size_t password_len = password.len > 0 ? 2 + password.len : 0;
    put_head(&w, 0x10, 10 + 2 + client_id.len + 2 + user_name.len + password_len);
    put_text(&w, (packet_text){"MQTT", 4});
    put(&w, 4);                              /* the level of 3.1.1 */
    put(&w, password_len > 0 ? 0xC2 : 0x82); /* user name, password if there is one, clean session */
    put_short(&w, 60);                       /* keep-alive in seconds */
    put_text(&w, client_id);
    put_text(&w, user_name);
    if (password_len > 0)
        put_text(&w, password);
    return finished(&w);
}

size_t packet_subscribe(uint8_t *out, size_t capacity, packet_text filter)
{
    writer w = {out, capacity, 0};
    put_head(&w, 0x82, 2 + 2 + filter.len + 1);
    put_short(&w, 1);
    put_text(&w, filter);
    put(&w, 1); /* at least once */
    return finished(&w);
}

size_t packet_publish(uint8_t *out, size_t capacity, packet_text topic, packet_text payload)
{
    writer w = {out, capacity, 0};
    put_head(&w, 0x32, 2 + topic.len + 2 + payload.len);
    put_text(&w, topic);
    put_short(&w, 2);
    put_bytes(&w, payload);
    return finished(&w);
}

size_t packet_acknowledge(uint8_t *out, size_t capacity, uint16_t id)
{
    writer w = {out, capacity, 0};
    put_head(&w, 0x40, 2);
    put_short(&w, id);
    return finished(&w);
}

size_t packet_disconnect(uint8_t *out, size_t capacity)
{
    writer w = {out, capacity, 0};
    put_head(&w, 0xE0, 0);
    return finished(&w);
}

static bool parse_publish(uint8_t first, uint8_t *body, size_t length, packet *packet)
{
    const size_t id_length = (first & 6) != 0 ? 2 : 0;
    if (length < 2)
        return false;
    const size_t topic = (size_t)body[0] << 8 | body[1];
    const size_t head = 2 + topic + id_length;
    if (length < head)
        return false;
    packet->topic = (packet_text){(const char *)body + 2, topic};
    packet->id = id_length == 0 ? 0 : (uint16_t)(body[head - 2] << 8 | body[head - 1]);
    packet->payload = body + head;
    packet->payload_length = length - head;
    return true;
}

bool packet_parse(uint8_t first, uint8_t *body, size_t length, packet *packet)
{
    packet->kind = first >> 4;
    switch (packet->kind) {
    case PACKET_PUBLISH:
        return parse_publish(first, body, length, packet);
    case PACKET_CONNACK:
        packet->code = length == 2 ? body[1] : 255;
        return length == 2;
    case PACKET_SUBACK:
        packet->code = length == 3 ? body[2] : 255;
        return length == 3;
    default:
        return true;
    }
}
