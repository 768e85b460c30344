/* The functions of the board that the examples use. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Prints text that ends with a NUL. */
void board_print(const char *text);

/* Ends the program; 0 means success. */
_Noreturn void board_exit(int status);

#endif
