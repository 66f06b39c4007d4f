// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Boost.JSON without its library: all of its code, once.
#include <boost/json/src.hpp>
