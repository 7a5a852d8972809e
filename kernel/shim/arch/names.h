/* SPDX-License-Identifier: MIT */
/*
 * Functions of the kernel that the C library has as well, with another meaning: the kernel's get other names. Included before
 * everything else.
 */
#define snprintf kernel_snprintf
#define vsnprintf kernel_vsnprintf
#define sprintf kernel_sprintf
#define vsprintf kernel_vsprintf
#define sscanf kernel_sscanf
#define vsscanf kernel_vsscanf
#define sort kernel_sort
