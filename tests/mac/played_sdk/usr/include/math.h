// SPDX-License-Identifier: Apache-2.0
#pragma once
#define INFINITY __builtin_inff()
#define isfinite(number) __builtin_isfinite(number)
#define isnan(number) __builtin_isnan(number)

double floor(double number);
double fmod(double number, double divisor);
double trunc(double number);
