// libnftables: one buffer of commands is one transaction, carried out whole or not at all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

struct nft_ctx;

namespace merlon::agent {

class Nft {
 public:
  static Result<Nft> open();
  // Nothing is changed when it fails; the error carries nftables' own words.
  Result<void> run(const std::string& commands);
  // The "nftables" array of an answer in JSON, without its first object about the library. Sets are listed
  // with their elements only by list_set.
  Result<JsonArray> list(const std::string& command);
  Result<JsonArray> list_with_elements(const std::string& command);
  // False when the object is not there, an error when that could not be told.
  Result<bool> exists(const std::string& get_command);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  explicit Nft(std::unique_ptr<nft_ctx, Free> context) : context_(std::move(context)) {}
  Result<std::string> run_for_text(const std::string& commands, unsigned output_flags);
  Result<JsonArray> list_as(const std::string& command, unsigned output_flags);
  std::unique_ptr<nft_ctx, Free> context_;
};

// The objects named `kind` ("chain", "rule", "counter") of a listing.
std::vector<const JsonObject*> objects_of(const JsonArray& listing, std::string_view kind);

}  // namespace merlon::agent
