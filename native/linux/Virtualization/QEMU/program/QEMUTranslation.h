// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// QEMU's accelerator for a guest with so many processors that is emulated: "tcg", which emulates each of them on a
/// thread of its own, or "tcg,thread=single", where several threads are not safe.
///
/// A kernel changes its own code while it runs: it puts a breakpoint over an instruction, then the new instruction over
/// that. Up to 8.0, QEMU may translate the breakpoint on one thread while another one overwrites it, and keep what it
/// translated: the processors that run over it are in that breakpoint for ever. 1 boot in 25 with six processors hung
/// so, and fewer with two. (QEMU's commit deba78709ae8, of 8.1, whose own fault 8.2 has mended.)
///
/// The program is asked for its version, once, and only for more than one processor. One that tells nothing is taken
/// for old.
NSString *QEMUEmulatingAccelerator(NSUInteger processors);

NS_ASSUME_NONNULL_END
