#pragma once

/* The kernel's messages, as its own header has them, and what older ones lack. */

#include <linux/fuse.h>
#include <stdint.h>

/* As of Linux 6.9: has requests handed out again that were handed out and not answered; and what tells these. */
#define WIRE_NOTIFY_RESEND 7
#define WIRE_RESENT (UINT64_C(1) << 63)

/* In the number of an interrupt, which is otherwise that of the request: those of requests are even. */
#define WIRE_INTERRUPT UINT64_C(1)
