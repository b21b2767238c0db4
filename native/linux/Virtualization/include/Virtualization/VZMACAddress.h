// SPDX-License-Identifier: Apache-2.0
#import <Virtualization/VZDefines.h>

NS_ASSUME_NONNULL_BEGIN

/// The 48-bit address of a network card. Compare with -isEqual:.
VZ_EXPORT API_AVAILABLE(macos(11.0)) @interface VZMACAddress : NSObject<NSCopying>

+ (instancetype)new NS_UNAVAILABLE;
- (instancetype)init NS_UNAVAILABLE;

- (instancetype)initWithEthernetAddress:(ether_addr_t)ethernetAddress NS_DESIGNATED_INITIALIZER;

/// Six pairs of hexadecimal digits of either case, with colons between; nil for anything else.
- (nullable instancetype)initWithString:(NSString *)string;

/// A random, unicast, locally administered address. Nothing makes sure that no other machine has it.
+ (instancetype)randomLocallyAdministeredAddress;

/// The address in the form that -initWithString: takes, in lower case.
@property (readonly, copy) NSString *string;

@property (readonly) ether_addr_t ethernetAddress;

/// Whether it is ff:ff:ff:ff:ff:ff, which addresses every station.
@property (readonly) BOOL isBroadcastAddress;

/// Whether it addresses a group of stations. The broadcast address does too.
@property (readonly) BOOL isMulticastAddress;

/// Whether it addresses a single station.
@property (readonly) BOOL isUnicastAddress;

/// Whether the local administrator, not a manufacturer, chose it.
@property (readonly) BOOL isLocallyAdministeredAddress;

/// Whether it comes from a manufacturer's range.
@property (readonly) BOOL isUniversallyAdministeredAddress;

@end

NS_ASSUME_NONNULL_END
