/* The host's end of the firmware's serial port (modem.h): TCP and TLS to the service, and the time.
 *
 *     bridge HOST PORT CA_FILE [CHAIN_FILE KEY_FILE]
 *
 * prints the TCP port on loopback where it waits for QEMU's serial port, and ends when that is closed. To the service it
 * presents the device's certificate, if there is one. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../tls.h"
#include "modem.h"

enum { TIMEOUT_MS = 10000 };

static struct {
    int serial;
    const char *host, *port;
    tls_files files;
    tls *service;
} bridge;

static bool read_all(uint8_t *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        const ssize_t more = read(bridge.serial, bytes + done, length - done);
        if (more <= 0)
            return false;
        done += (size_t)more;
    }
    return true;
}

static bool frame(char kind, const uint8_t *bytes, size_t length)
{
    uint8_t out[3 + MODEM_FRAME] = {(uint8_t)kind, (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(out + 3, bytes, length);
    return write(bridge.serial, out, 3 + length) == (ssize_t)(3 + length);
}

/* A number, the highest byte first. */
static bool frame_number(char kind, uint64_t number, size_t length)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(number >> (8 * (length - 1 - i)));
    return frame(kind, bytes, length);
}

static void hang_up(void)
{
    tls_close(bridge.service);
    bridge.service = NULL;
}

/* Carries out one frame of the firmware; returns false if the serial port was closed. */
static bool serve(void)
{
    uint8_t head[3], bytes[MODEM_FRAME];
    if (!read_all(head, sizeof head))
        return false;
    const size_t length = (size_t)head[1] << 8 | head[2];
    if (length > sizeof bytes || !read_all(bytes, length))
        return false;
    int32_t error = 0;
    switch (head[0]) {
    case 'T':
        return frame_number('T', (uint64_t)time(NULL), 8);
    case 'O':
        hang_up();
        bridge.service = tls_open(bridge.host, bridge.port, bridge.files, tls_now_ms() + TIMEOUT_MS, &error);
        return frame_number('O', bridge.service == NULL ? (uint64_t)error : 0, 4);
    case 'D':
        if (bridge.service != NULL && tls_write(bridge.service, bytes, length, tls_now_ms() + TIMEOUT_MS) != 0)
            hang_up();
        return true;
    case 'C':
        hang_up();
        return true;
    default:
        return false;
    }
}

/* Passes on what the service sends. */
static bool pass_on(void)
{
    uint8_t bytes[MODEM_FRAME];
    const int length = tls_read(bridge.service, bytes, sizeof bytes, 0);
    /* The received data was for TLS itself. */
    if (length == TLS_TIMED_OUT)
        return true;
    if (length > 0)
        return frame('D', bytes, (size_t)length);
    hang_up();
    return frame('C', bytes, 0);
}

/* Prints its port, and waits for the serial port. */
static int accept_serial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("the serial port");
        exit(1);
    }
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    const int accepted = accept(listener, NULL, NULL);
    close(listener);
    return accepted;
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 6) {
        fprintf(stderr, "usage: %s HOST PORT CA_FILE [CHAIN_FILE KEY_FILE]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    bridge.host = argv[1];
    bridge.port = argv[2];
    bridge.files.ca = argv[3];
    if (argc == 6) {
        bridge.files.chain = argv[4];
        bridge.files.key = argv[5];
    }
    bridge.serial = accept_serial();
    for (bool going = true; going;) {
        struct pollfd ends[2] = {{bridge.serial, POLLIN, 0}, {-1, POLLIN, 0}};
        if (bridge.service != NULL)
            ends[1].fd = tls_socket(bridge.service);
        const bool waiting = bridge.service != NULL && tls_pending(bridge.service);
        if (poll(ends, 2, waiting ? 0 : -1) < 0)
            break;
        if (ends[0].revents != 0)
            going = serve();
        else if (waiting || ends[1].revents != 0)
            going = pass_on();
    }
    hang_up();
    close(bridge.serial);
    return 0;
}
