// Flow logs as files: the blobs that Azure's would be, below <state>/flow-logs/<storage account>, until there
// is a storage service that serves them. Source of layout and form: Azure docs, network-watcher
// nsg-flow-logs-overview and vnet-flow-logs-overview.
//
// A file holds the records of an hour and an interface: {"records":[…]}, one record on each line, valid JSON
// after every write. What is written waits in memory for the next tick, within bounds: a flow log never holds
// a request up, and never takes the disk's last space.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace merlon::network {

class FlowLogFiles {
 public:
  // Without a directory nothing is kept.
  explicit FlowLogFiles(std::string directory) : directory_(std::move(directory)) {}

  // `folder` is relative, of a flow log: up to "y=…". From any thread.
  void add(const std::string& folder, const std::string& mac, Timestamp time, std::string record);
  void flush();

  struct Record {
    std::string mac;
    JsonObject json;
  };
  // The records with a time after `since`, newest hour first and within it in the order of files, for as long
  // as `visit` says to go on. Reads at most a bounded number of hours and bytes.
  Result<void> read(const std::string& folder, Timestamp since, Timestamp now,
                    const std::function<bool(Record)>& visit) const;
  // Removes the days that are older. How many.
  size_t remove_before(const std::string& folder, Timestamp oldest) const;

 private:
  struct Waiting {
    std::string path;  // relative
    std::string record;
  };
  bool has_room();

  const std::string directory_;
  std::mutex mutex_;
  std::vector<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  size_t dropped_ = 0;
  bool full_told_ = false;
};

// "y=2026/m=11/d=26/h=08/m=00"
std::string hour_path(Timestamp time);
// Twelve hex digits in capitals, as Azure writes it, whatever a machine has reported; zeros when it is none.
std::string mac_path(std::string_view mac);

}  // namespace merlon::network
