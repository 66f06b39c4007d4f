// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Says why nothing compiles, before a page of errors does not.
#if __cplusplus < 202002L
#error "the headers of cpp-vmm need C++20 or later: -std=c++20"
#endif
