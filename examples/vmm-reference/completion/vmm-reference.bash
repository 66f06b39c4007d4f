# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# Written by vmm-reference-pages from the table of options: not to be edited.
# shellcheck shell=bash disable=SC2207

# What the value of an option may say.
_vmm_reference_words() {
  case $1 in
    --cpus) echo 'boot= max= topology= max_phys_bits= nested= affinity= core_scheduling=' ;;
    --memory) echo 'size= mergeable= shared= hugepages= hugepage_size= prefault= reserve= thp= file= hotplug_method= hotplug_size= hotplugged_size=' ;;
    --serial) echo 'off null pty tty file= escape= socket=' ;;
    --console) echo 'off null pty tty file= escape= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --disk) echo 'path= readonly= direct= queue_size= num_queues= rate_limit_group= queue_affinity= serial= backing_files= sparse= image_type= lock_granularity= pin_memory= guest_block_size= vhost_user= socket= bw_size= bw_one_time_burst= bw_refill_time= ops_size= ops_one_time_burst= ops_refill_time= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --net) echo 'tap= ip= mask= mac= host_mac= mtu= queue_size= num_queues= fd= user= hostfwd= vhost= offload_tso= offload_ufo= offload_csum= vhost_user= socket= vhost_mode= bw_size= bw_one_time_burst= bw_refill_time= ops_size= ops_one_time_burst= ops_refill_time= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --fs) echo 'tag= socket= num_queues= queue_size= dax= cache_size= id= pci_segment= pci_device_id= packed= event_idx=' ;;
    --generic-vhost-user) echo 'device_type= virtio_id= queue_sizes= socket= id= pci_segment= pci_device_id= packed= event_idx=' ;;
    --rng) echo 'src= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --pmem) echo 'file= size= discard_writes= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --device) echo 'path= x_exclude_mmap_bars= x_unsafe_noiommu= id= pci_segment= pci_device_id= iommu=' ;;
    --user-device) echo 'socket= id= pci_segment= pci_device_id= iommu=' ;;
    --vsock) echo 'cid= socket= vhost= id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --balloon) echo 'size= deflate_on_oom= free_page_reporting= id= pci_segment= pci_device_id= packed= event_idx=' ;;
    --rtc) echo 'id= pci_segment= pci_device_id= iommu= packed= event_idx=' ;;
    --rate-limit-group) echo 'id= bw_size= bw_one_time_burst= bw_refill_time= ops_size= ops_one_time_burst= ops_refill_time=' ;;
    --transport) echo 'pci mmio' ;;
    --platform) echo 'num_pci_segments= iommufd= iommu_segments= iommu_address_width= vfio_p2p_dma= system_manufacturer= system_product_name= system_version= system_serial_number= system_uuid= system_sku_number= system_family= chassis_asset_tag= oem_strings= serial_number= uuid=' ;;
    --pci-segment) echo 'pci_segment= mmio32_aperture_weight= mmio64_aperture_weight=' ;;
    --debug-console) echo 'off null pty tty file= iobase=' ;;
    --api-socket) echo 'path= fd=' ;;
    --event-monitor) echo 'path= fd=' ;;
    --landlock-rules) echo 'path= access=' ;;
  esac
}

_vmm_reference() {
  local line=${COMP_LINE:0:COMP_POINT} cur option='' before part i
  cur=${line##*[[:space:]]}
  for ((i = COMP_CWORD; i > 0; --i)); do
    case ${COMP_WORDS[i]} in
      --*)
        option=${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  COMPREPLY=()
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W '-h -V -v --kernel --initramfs --cmdline --firmware --dtb --dtb-overlay --cpus --memory --serial --console --disk --net --fs --generic-vhost-user --rng --pmem --device --user-device --vsock --balloon --watchdog --pvpanic --rtc --rate-limit-group --transport --platform --pci-segment --debug-console --config --log-file --api-socket --event-monitor --no-shutdown --seccomp --landlock --landlock-rules --help --version' -- "$cur"))
    return
  fi
  case $option in
    --kernel|--initramfs|--firmware|--dtb|--dtb-overlay|--config|--log-file)
      COMPREPLY=($(compgen -f -- "$cur"))
      return
      ;;
  esac
  # bash replaces what stands behind the last "=" only.
  part=${cur##*,}
  before=${cur%"$part"}
  before=${before##*=}
  case $part in
    path=* | file=* | socket=*) COMPREPLY=($(compgen -f -- "${part#*=}")) ;;
    *=*) ;;
    *)
      COMPREPLY=($(compgen -P "$before" -W "$(_vmm_reference_words "$option")" -- "$part"))
      compopt -o nospace 2>/dev/null
      ;;
  esac
}

complete -F _vmm_reference vmm-reference
