// SPDX-License-Identifier: Apache-2.0
#import "QEMUKeys.h"

static const char *const keys[] = {
    // clang-format off
    [0x04] = "a", [0x05] = "b", [0x06] = "c", [0x07] = "d", [0x08] = "e", [0x09] = "f", [0x0a] = "g",
    [0x0b] = "h", [0x0c] = "i", [0x0d] = "j", [0x0e] = "k", [0x0f] = "l", [0x10] = "m", [0x11] = "n",
    [0x12] = "o", [0x13] = "p", [0x14] = "q", [0x15] = "r", [0x16] = "s", [0x17] = "t", [0x18] = "u",
    [0x19] = "v", [0x1a] = "w", [0x1b] = "x", [0x1c] = "y", [0x1d] = "z", [0x1e] = "1", [0x1f] = "2",
    [0x20] = "3", [0x21] = "4", [0x22] = "5", [0x23] = "6", [0x24] = "7", [0x25] = "8", [0x26] = "9",
    [0x27] = "0", [0x28] = "ret", [0x29] = "esc", [0x2a] = "backspace", [0x2b] = "tab", [0x2c] = "spc",
    [0x2d] = "minus", [0x2e] = "equal", [0x2f] = "bracket_left", [0x30] = "bracket_right",
    [0x31] = "backslash", [0x33] = "semicolon", [0x34] = "apostrophe", [0x35] = "grave_accent",
    [0x36] = "comma", [0x37] = "dot", [0x38] = "slash", [0x39] = "caps_lock", [0x3a] = "f1", [0x3b] = "f2",
    [0x3c] = "f3", [0x3d] = "f4", [0x3e] = "f5", [0x3f] = "f6", [0x40] = "f7", [0x41] = "f8", [0x42] = "f9",
    [0x43] = "f10", [0x44] = "f11", [0x45] = "f12", [0x46] = "print", [0x47] = "scroll_lock",
    [0x48] = "pause", [0x49] = "insert", [0x4a] = "home", [0x4b] = "pgup", [0x4c] = "delete", [0x4d] = "end",
    [0x4e] = "pgdn", [0x4f] = "right", [0x50] = "left", [0x51] = "down", [0x52] = "up", [0x53] = "num_lock",
    [0x54] = "kp_divide", [0x55] = "kp_multiply", [0x56] = "kp_subtract", [0x57] = "kp_add",
    [0x58] = "kp_enter", [0x59] = "kp_1", [0x5a] = "kp_2", [0x5b] = "kp_3", [0x5c] = "kp_4", [0x5d] = "kp_5",
    [0x5e] = "kp_6", [0x5f] = "kp_7", [0x60] = "kp_8", [0x61] = "kp_9", [0x62] = "kp_0",
    [0x63] = "kp_decimal", [0x64] = "less", [0x65] = "compose", [0xe0] = "ctrl", [0xe1] = "shift",
    [0xe2] = "alt", [0xe3] = "meta_l", [0xe4] = "ctrl_r", [0xe5] = "shift_r", [0xe6] = "alt_r",
    [0xe7] = "meta_r",
    // clang-format on
};

NSString *QEMUKeyOfUsage(NSUInteger usage) {
    const char *name = usage < sizeof keys / sizeof keys[0] ? keys[usage] : NULL;
    return name != NULL ? [NSString stringWithUTF8String:name] : nil;
}
