// SPDX-License-Identifier: Apache-2.0
#ifndef HOST_TIME_STAMP_COUNTER_H
#define HOST_TIME_STAMP_COUNTER_H

#include <stdint.h>

/// The rate of this host's time stamp counter in kHz, which is that of an emulated guest's too: QEMU's emulation hands
/// the host's counter through. 0 where it has none that runs at one rate. Measured once in the life of the process, in
/// 10 ms.
uint64_t host_time_stamp_counter_kilohertz(void);

#endif
