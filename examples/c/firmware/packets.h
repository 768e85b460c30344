/* The few MQTT 3.1.1 packets that a registration needs. Firmware normally uses an MQTT library instead. */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct packet_text {
    const char *ptr;
    size_t len;
} packet_text;

/* Each writes a packet and returns its length, or 0 if it does not fit. */
size_t packet_connect(uint8_t *out, size_t capacity, packet_text client_id, packet_text user_name, packet_text password);
size_t packet_subscribe(uint8_t *out, size_t capacity, packet_text filter);
size_t packet_publish(uint8_t *out, size_t capacity, packet_text topic, packet_text payload);
size_t packet_acknowledge(uint8_t *out, size_t capacity, uint16_t id);
size_t packet_disconnect(uint8_t *out, size_t capacity);

/* A received packet. */
enum { PACKET_CONNACK = 2, PACKET_PUBLISH = 3, PACKET_PUBACK = 4, PACKET_SUBACK = 9, PACKET_PINGRESP = 13 };

typedef struct packet {
    unsigned kind;
    /* CONNACK and SUBACK: the return code. */
    uint8_t code;
    /* PUBLISH: the topic, the payload, and the id to acknowledge, or 0. */
    packet_text topic;
    uint8_t *payload;
    size_t payload_length;
    uint16_t id;
} packet;

/* Parses a packet: its first byte, and what follows its length. Returns false if the packet is not valid. */
bool packet_parse(uint8_t first, uint8_t *body, size_t length, packet *packet);

#endif
