// SPDX-License-Identifier: Apache-2.0
// <Cocoa/Cocoa.h>, for programs that include it and use Foundation alone: there are no windows here.
#ifndef APPLEVZ_COCOA_H
#define APPLEVZ_COCOA_H

#import <Foundation/Foundation.h>

#endif
