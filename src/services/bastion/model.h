// What a bastion is, in values: its SKU and what that SKU can do, a way in that somebody asks for, and what
// they are admitted to. Source: Azure docs, bastion-sku-comparison and configuration-settings;
// azure-rest-api-specs bastionHost.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "identity/principal.h"
#include "resource/resource_type.h"

namespace merlon::bastion {

enum class Sku : uint8_t { developer, basic, standard, premium };     // in the order of upgrades
enum class Protocol : uint8_t { ssh, rdp, tcp };                      // tcp: whatever a tunnel carries
enum class Transport : uint8_t { tunnel, plain_ssh, browser, link };  // how the person comes in
enum class Recording : uint8_t { off, best_effort, require };         // in the order of strictness
// How the person showed who they are. token: of the Resource Manager, as native clients and programs have it.
enum class SignedInBy : uint8_t { token, web_session, link, certificate, key, device_code };

// A second person has to look on; when they go, the session waits for them or ends. In the order of
// strictness.
enum class Moderation : uint8_t { pause, end };

std::string_view sku_text(Sku sku);                    // "Standard"
std::string_view protocol_text(Protocol protocol);     // "SSH", as Azure's active sessions show it
std::string_view transport_text(Transport transport);  // "tunnel", "ssh", "browser", "link"
std::string_view recording_text(Recording recording);  // "off", "bestEffort", "require"
std::string_view signed_in_by_text(SignedInBy by);     // "token", "webSession", "link", "certificate" …
std::optional<Sku> sku_of(std::string_view text);
std::optional<Protocol> protocol_of(std::string_view text);
std::optional<Transport> transport_of(std::string_view text);
std::optional<Recording> recording_of(std::string_view text);
std::optional<SignedInBy> signed_in_by_of(std::string_view text);

inline constexpr std::string_view kHostType = "Microsoft.Network/bastionHosts";
inline constexpr std::string_view kSubnetName = "AzureBastionSubnet";
inline constexpr std::string_view kIpConnectType = "Microsoft.Network/bh-hostConnect";
inline constexpr uint16_t kSshPort = 22;
inline constexpr uint16_t kRdpPort = 3389;

// One bastion host, read from its document.
struct Host {
  resource::ResourceId id;
  Sku sku = Sku::basic;
  int64_t scale_units = 2;
  std::string network;   // id of the virtual network, lower case
  std::string dns_name;  // "bst-<guid>.bastion.<domain>"
  bool copy_paste = true;
  bool file_copy = true;  // unless somebody said no
  bool ip_connect = false;
  bool shareable_link = false;
  bool tunneling = false;
  bool recording = false;
  bool private_only = false;
  std::vector<IpPrefix> clients;  // networkAcls: from where; none = everywhere
};
Result<Host> read_host(const resource::Resource& resource);

// How many sessions of the protocol's class at once (tcp counts as ssh). A Developer bastion has two
// connections, whatever they carry.
size_t sessions_max(const Host& host, Protocol protocol);
// "ssh" or "rdp"; for Developer "any".
std::string session_class(const Host& host, Protocol protocol);

// What may go through a session. Who carries it out is the transport that ends the protocol.
struct Channels {
  bool shell = true;
  bool commands = true;
  bool forwarding = true;
  bool upload = true;
  bool download = true;
  bool clipboard = true;
  bool operator==(const Channels&) const = default;
  JsonObject to_json() const;
  static Channels from_json(const JsonObject& json);
};

// What somebody asks for.
struct WayIn {
  identity::Principal caller;  // with address: where they come from
  uint16_t client_port = 0;
  std::string user_agent;
  Transport transport = Transport::tunnel;
  SignedInBy signed_in_by = SignedInBy::token;
  // Whether the transport ends the protocol itself: only then is there a recording, and only then do limits
  // on logins and channels mean anything. An opaque tunnel does not.
  bool ends_protocol = false;
  // Whether it can hold back what either side sends until a moderator is there (Notice::hold).
  bool can_hold = false;
  std::string target;   // a machine's resource id, its short name, or a bh-hostConnect id
  std::string bastion;  // resource id, name or dns name; empty: the one that covers the machine
  uint16_t port = kSshPort;
  Protocol protocol = Protocol::ssh;
  std::string login;  // empty: not known, or not yet (Bastion::name_login)
  std::string justification;
  // Of a shareable link (Bastion::way_by_link): `caller` is then who made it, by whose right everything goes,
  // and `holder` who uses it, where they have signed in.
  std::string link_id;
  std::optional<identity::Principal> holder{};
};

// What they are admitted to. The session has been entered and counts until ended() is called.
struct Admission {
  Uuid session;
  std::string bastion_id, bastion_dns_name;
  std::string target_id;   // of the virtual machine; the bh-hostConnect id for IP connect
  std::string machine_id;  // of the enrolled machine; empty without an agent
  IpAddress address;       // to connect to
  uint16_t port = 0;
  Protocol protocol = Protocol::ssh;
  SignedInBy signed_in_by = SignedInBy::token;
  std::string login;
  std::optional<std::vector<std::string>> logins{};  // the only ones, where policies name some
  Channels channels;
  Recording recording = Recording::off;
  std::optional<Duration> recording_kept{};  // after the end; none: until somebody deletes it
  // Azure's rights for Merlon's own certificates: Microsoft.Compute/virtualMachines/login/action and
  // loginAsAdmin/action.
  bool may_log_in = false;
  bool may_log_in_as_admin = false;
  bool login_is_by_link =
      false;  // it is the one that a shareable link is for, and its maker may log in as it
  Timestamp start;
  std::optional<Timestamp> deadline{};  // the session is ended then
  std::optional<Duration> idle_max{};   // without a byte either way: to be watched by the transport
  // Not empty: nothing may pass before a notice says so, and this is why, for the person.
  std::string held_because{};
};

// How it ended, said by the transport.
struct Ended {
  std::string reason = "ClientClosed";  // a word: "ClientClosed", "MachineClosed", "Idle", "ConnectFailed"
  std::string message{};
  uint64_t bytes_to_machine = 0;
  uint64_t bytes_to_client = 0;
  JsonObject details{};  // further facts for the ledger: the recording's digest, counts of files
};

// What a running session is told.
struct Notice {
  enum class Kind : uint8_t { warn, end } kind = Kind::end;
  std::string reason;  // "DeadlinePassed", "Disconnected", "AccessRevoked", "SignInEnded", "BastionDeleted" …
  std::string message{};          // for the person
  std::optional<Timestamp> at{};  // of a warning: when it will end
  std::optional<bool> hold{};     // of a warning: from now on nothing may pass, or everything again
};

}  // namespace merlon::bastion
