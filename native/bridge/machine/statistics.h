// SPDX-License-Identifier: Apache-2.0
/// Of the clock that goes on while a host sleeps or not, as its system has it: for differences.
double applevz_monotonic_seconds(void);
