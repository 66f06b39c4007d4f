// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What the parser of Boost.JSON needs of its library. An object of its own, so that a program that
// has all of Boost.JSON leaves it out.
#include <boost/json/basic_parser_impl.hpp>
// Not sorted into the line above: they need it.
#include <boost/json/detail/impl/default_resource.ipp>
#include <boost/json/detail/impl/shared_resource.ipp>
#include <boost/json/detail/impl/stack.ipp>
#include <boost/json/impl/error.ipp>
