/* The part of Zephyr's API that the sample uses, on a host. */
#include <stdio.h>

#define printk(...) ((void)printf(__VA_ARGS__))
