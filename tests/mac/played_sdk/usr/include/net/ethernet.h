// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <stdint.h>

typedef struct ether_addr {
    uint8_t octet[6];
} ether_addr_t;
