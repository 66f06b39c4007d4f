// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <span>
#include <string_view>

namespace vmm::reference {

/// A name that cloud-hypervisor has, and how we differ there; empty: not at all. What is offered is
/// not said here: the code's own tables say it.
struct ContractName {
  std::string_view name;
  std::string_view remark = "";
};

/// An option of theirs and the keys of its value.
struct ContractOption {
  std::string_view name;
  std::string_view remark = "";
  std::span<const ContractName> keys = {};
};

std::span<const ContractOption> contract_options();
std::span<const ContractName> contract_endpoints();
/// "vm.booting".
std::span<const ContractName> contract_events();
/// Members of the JSON configuration that are no key of an option, and those whose remark is
/// another than their key's. "disks[].path".
std::span<const ContractName> contract_members();

}  // namespace vmm::reference
