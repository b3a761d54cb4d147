// libnftables behind Result.
#include "agent/firewall_kernel.h"

#include "agent/firewall_library.h"
#include "base/text.h"

namespace merlon::agent {
namespace {

constexpr size_t kErrorTextMax = 1000;
// A listing of other people's rules may be long; beyond this it is not ours to hold in memory.
constexpr JsonLimits kListingLimits{.bytes_max = 64 * 1024 * 1024, .depth_max = 64};

// nftables speaks of a missing table, chain, set or element in these words (strerror of ENOENT).
bool says_missing(std::string_view text) {
  return text.find("No such file or directory") != std::string_view::npos;
}

const Libnftables& libnftables() {
  static const Libnftables library;
  return library;
}

struct Free {
  void operator()(nft_ctx* context) const { libnftables().free(context); }
};

unsigned flags_of(NftForm form) {
  switch (form) {
    case NftForm::text:
      return NFT_CTX_OUTPUT_TERSE;
    case NftForm::json_terse:
      return NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE;
    case NftForm::json:
      return NFT_CTX_OUTPUT_JSON;
  }
  return 0;
}

class LibNftables final : public NftBackend {
 public:
  explicit LibNftables(std::unique_ptr<nft_ctx, Free> context) : context_(std::move(context)) {}

  Result<std::string> run(const std::string& commands, NftForm form) override {
    libnftables().set_output_flags(context_.get(), flags_of(form) | NFT_CTX_OUTPUT_NUMERIC_PROTO);
    const int outcome = libnftables().run(context_.get(), commands.c_str());
    const char* output = libnftables().output_buffer(context_.get());
    const char* error = libnftables().error_buffer(context_.get());
    if (outcome == 0) return std::string(output == nullptr ? "" : output);
    const std::string said = std::string(error == nullptr ? "" : error).substr(0, kErrorTextMax);
    if (says_missing(said)) return fail(ErrorKind::not_found, "FirewallObjectMissing", said);
    return fail(ErrorKind::internal, "FirewallRefused",
                "The kernel's firewall refused a change and kept what it had: " + said +
                    " Check that the agent has CAP_NET_ADMIN and the kernel nf_tables.");
  }

 private:
  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace

Result<Nft> Nft::open() {
  TRY(libnftables().loaded());
  std::unique_ptr<nft_ctx, Free> context(libnftables().make(NFT_CTX_DEFAULT));
  if (!context || libnftables().buffer_output(context.get()) != 0 ||
      libnftables().buffer_error(context.get()) != 0)
    return fail(
        ErrorKind::internal, "FirewallUnavailable",
        "The kernel's firewall could not be opened. Run the agent as root (CAP_NET_ADMIN) on a kernel with "
        "nf_tables.");
  return Nft(std::make_unique<LibNftables>(std::move(context)));
}

Result<void> Nft::run(const std::string& commands) {
  TRY(backend_->run(commands, NftForm::text));
  return {};
}

Result<JsonArray> Nft::list_as(const std::string& command, NftForm form) {
  const std::string text = TRY(backend_->run(command, form));
  const JsonObject object = TRY(parse_json_object(text, kListingLimits));
  const JsonArray* listing = array_at(object, "nftables");
  if (listing == nullptr) return internal_error("nftables answered '" + command + "' without a listing");
  return *listing;
}

Result<JsonArray> Nft::list(const std::string& command) { return list_as(command, NftForm::json_terse); }
Result<JsonArray> Nft::list_with_elements(const std::string& command) {
  return list_as(command, NftForm::json);
}

Result<bool> Nft::exists(const std::string& get_command) {
  const auto answer = backend_->run(get_command, NftForm::text);
  if (answer) return true;
  if (answer.error().kind == ErrorKind::not_found) return false;
  return std::unexpected(answer.error());
}

std::vector<const JsonObject*> objects_of(const JsonArray& listing, std::string_view kind) {
  std::vector<const JsonObject*> found;
  for (const Json& entry : listing)
    if (entry.is_object())
      if (const JsonObject* object = object_at(entry.get_object(), kind)) found.push_back(object);
  return found;
}

}  // namespace merlon::agent
