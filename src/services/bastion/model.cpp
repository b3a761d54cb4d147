// Reading bastion hosts, and what their SKUs are good for.
#include "services/bastion/model.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace merlon::bastion {
namespace {

using resource::ResourceId;

template <class T>
struct Word {
  T value;
  std::string_view text;
};

constexpr std::array kSkus = {Word{Sku::developer, "Developer"}, Word{Sku::basic, "Basic"},
                              Word{Sku::standard, "Standard"}, Word{Sku::premium, "Premium"}};
constexpr std::array kProtocols = {Word{Protocol::ssh, "SSH"}, Word{Protocol::rdp, "RDP"},
                                   Word{Protocol::tcp, "TCP"}};
constexpr std::array kTransports = {Word{Transport::tunnel, "tunnel"}, Word{Transport::plain_ssh, "ssh"},
                                    Word{Transport::browser, "browser"}, Word{Transport::link, "link"}};
constexpr std::array kRecordings = {Word{Recording::off, "off"}, Word{Recording::best_effort, "bestEffort"},
                                    Word{Recording::require, "require"}};

constexpr std::array kSignedInBy = {
    Word{SignedInBy::token, "token"}, Word{SignedInBy::web_session, "webSession"},
    Word{SignedInBy::link, "link"},   Word{SignedInBy::certificate, "certificate"},
    Word{SignedInBy::key, "key"},     Word{SignedInBy::device_code, "deviceCode"}};

template <class T, size_t N>
std::string_view text_of(const std::array<Word<T>, N>& words, T value) {
  return std::ranges::find(words, value, &Word<T>::value)->text;
}

template <class T, size_t N>
std::optional<T> value_of(const std::array<Word<T>, N>& words, std::string_view text) {
  const auto at =
      std::ranges::find_if(words, [&](const auto& word) { return ascii_iequal(word.text, text); });
  if (at == words.end()) return std::nullopt;
  return at->value;
}

constexpr size_t kDeveloperSessions = 2;  // the mission's, not Azure's one
constexpr size_t kSshPerInstance = 40;
constexpr size_t kRdpPerInstance = 20;

// A subnet's id names its network; a Developer bastion names the network itself.
std::string network_of(const JsonObject& properties) {
  if (const auto network = string_at(properties, "virtualNetwork.id")) return ascii_lower(*network);
  const JsonArray* configurations = array_at(properties, "ipConfigurations");
  if (configurations == nullptr || configurations->empty()) return {};
  const auto subnet = string_at(configurations->front().as_object(), "properties.subnet.id");
  const auto id = subnet ? ResourceId::parse(*subnet) : fail(ErrorKind::invalid, {}, {});
  return id ? id->parent().key() : std::string();
}

}  // namespace

std::string_view sku_text(Sku sku) { return text_of(kSkus, sku); }
std::string_view protocol_text(Protocol protocol) { return text_of(kProtocols, protocol); }
std::string_view transport_text(Transport transport) { return text_of(kTransports, transport); }
std::string_view recording_text(Recording recording) { return text_of(kRecordings, recording); }
std::string_view signed_in_by_text(SignedInBy by) { return text_of(kSignedInBy, by); }
std::optional<Sku> sku_of(std::string_view text) { return value_of(kSkus, text); }
std::optional<Protocol> protocol_of(std::string_view text) { return value_of(kProtocols, text); }
std::optional<Transport> transport_of(std::string_view text) { return value_of(kTransports, text); }
std::optional<SignedInBy> signed_in_by_of(std::string_view text) { return value_of(kSignedInBy, text); }
std::optional<Recording> recording_of(std::string_view text) { return value_of(kRecordings, text); }

Result<Host> read_host(const resource::Resource& resource) {
  Host host;
  host.id = resource.id;
  const auto sku = sku_of(string_at(resource.body, "sku.name").value_or("Basic"));
  const JsonObject* properties = object_at(resource.body, "properties");
  if (!sku || properties == nullptr) return internal_error("bastion " + resource.id.text() + " has no SKU");
  const auto flag = [&](std::string_view name, bool otherwise) {
    return bool_at(*properties, name).value_or(otherwise);
  };
  host.sku = *sku;
  host.scale_units = int_at(*properties, "scaleUnits").value_or(2);
  host.network = network_of(*properties);
  host.dns_name = string_at(*properties, "dnsName").value_or("");
  host.copy_paste = !flag("disableCopyPaste", false);
  host.file_copy = flag("enableFileCopy", true);
  host.ip_connect = flag("enableIpConnect", false);
  host.shareable_link = flag("enableShareableLink", false);
  host.tunneling = flag("enableTunneling", false);
  host.recording = flag("enableSessionRecording", false);
  host.private_only = flag("enablePrivateOnlyBastion", false);
  if (const JsonArray* rules = array_at(*properties, "networkAcls.ipRules"))
    for (const Json& rule : *rules)
      if (const auto prefix = IpPrefix::parse(string_at(rule.as_object(), "addressPrefix").value_or("")))
        host.clients.push_back(*prefix);
  return host;
}

std::string session_class(const Host& host, Protocol protocol) {
  if (host.sku == Sku::developer) return "any";
  return protocol == Protocol::rdp ? "rdp" : "ssh";
}

size_t sessions_max(const Host& host, Protocol protocol) {
  if (host.sku == Sku::developer) return kDeveloperSessions;
  const auto units = static_cast<size_t>(std::max<int64_t>(host.scale_units, 1));
  return units * (protocol == Protocol::rdp ? kRdpPerInstance : kSshPerInstance);
}

JsonObject Channels::to_json() const {
  return {{"shell", shell},   {"commands", commands}, {"forwarding", forwarding},
          {"upload", upload}, {"download", download}, {"clipboard", clipboard}};
}

Channels Channels::from_json(const JsonObject& json) {
  Channels channels;
  const auto read = [&](std::string_view name, bool& flag) { flag = bool_at(json, name).value_or(true); };
  read("shell", channels.shell);
  read("commands", channels.commands);
  read("forwarding", channels.forwarding);
  read("upload", channels.upload);
  read("download", channels.download);
  read("clipboard", channels.clipboard);
  return channels;
}

}  // namespace merlon::bastion
