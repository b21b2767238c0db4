// SPDX-License-Identifier: Apache-2.0
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The text of a file of DHCP leases. No more is read than there can be leases. nil with an errno if it cannot be read.
NSString *_Nullable applevz_text_of_leases(NSString *path, int *number);

/// The address that a lease of the macOS DHCP server, bootpd, gives to the network card with that MAC address: of
/// several the one that ends last. `leases` is the text of /var/db/dhcpd_leases. nil if there is none.
///
/// A guest may name itself to the server by something else than its card's address, as systemd-networkd does unless its
/// network has ClientIdentifier=mac. Where that is made of a card's address (RFC 8415, 11.2 and 11.4) it is found, too.
NSString *_Nullable applevz_leased_address(NSString *leases, NSString *mac_address);

NS_ASSUME_NONNULL_END
