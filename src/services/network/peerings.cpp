// Peerings: two virtual networks that each name the other. Azure's states: Initiated while one side alone
// has been made, Connected when both are there, Disconnected when the other side went away; a disconnected
// side must be written again before the other can be made anew. Source: Azure docs,
// virtual-network-peering-overview and virtual-network-manage-peering.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "services/network/prefixes.h"
#include "services/network/service.h"

namespace merlon::network {
namespace {

using resource::Resource;
using resource::ResourceId;
using resource::WriteContext;

constexpr std::string_view kPeerings = "virtualNetworkPeerings";
constexpr std::string_view kInitiated = "Initiated";
constexpr std::string_view kConnected = "Connected";
constexpr std::string_view kDisconnected = "Disconnected";

JsonObject& properties_of(JsonObject& element) {
  Json& properties = element["properties"];
  if (!properties.is_object()) properties = JsonObject();
  return properties.get_object();
}

std::vector<IpPrefix> prefixes_at(const JsonObject& json, std::string_view path) {
  std::vector<IpPrefix> prefixes;
  if (const JsonArray* texts = array_at(json, path))
    for (const Json& element : *texts)
      if (element.is_string())
        if (const auto prefix = IpPrefix::parse(element.get_string())) prefixes.push_back(*prefix);
  return prefixes;
}

std::vector<IpPrefix> space_of(const JsonObject& network) {
  return prefixes_at(network, "properties.addressSpace.addressPrefixes");
}

// Azure keeps two: the space that was agreed to (remoteAddressSpace), and what the remote network has now
// (remoteVirtualNetworkAddressSpace). Only whoever may write this side makes the first the second: a
// network's owner does not say what VirtualNetwork means in another. Source: azure-rest-api-specs,
// Microsoft.Network, virtualNetwork.json (VirtualNetworkPeeringPropertiesFormat).
constexpr std::string_view kAgreed = "remoteAddressSpace";
constexpr std::string_view kCurrent = "remoteVirtualNetworkAddressSpace";

void show_space(JsonObject& properties, std::string_view key, const JsonObject& network) {
  if (const Json* space = find(network, "properties.addressSpace")) properties[key] = *space;
}

std::vector<IpPrefix> agreed_space(const JsonObject& peering) {
  return prefixes_at(peering, "properties.remoteAddressSpace.addressPrefixes");
}

std::string remote_of(const JsonObject& peering) {
  return ascii_lower(string_at(peering, "properties.remoteVirtualNetwork.id").value_or(""));
}

// The peering of `network` with `remote`; null when there is none.
const JsonObject* peering_with(const JsonObject& network, const std::string& remote) {
  if (const JsonArray* peerings = array_at(network, "properties.virtualNetworkPeerings"))
    for (const Json& element : *peerings)
      if (remote_of(element.as_object()) == remote) return &element.as_object();
  return nullptr;
}

bool is_same_space(std::vector<IpPrefix> left, std::vector<IpPrefix> right) {
  return merged(std::move(left)) == merged(std::move(right));
}

// Azure's word for which side has yet to agree to what the other one is now.
std::string_view sync_level(const std::vector<IpPrefix>& agreed, const std::vector<IpPrefix>& remote_space,
                            const std::vector<IpPrefix>& own_space, const JsonObject* back) {
  const bool local = is_same_space(agreed, remote_space);
  const bool remote = back == nullptr || is_same_space(agreed_space(*back), own_space);
  if (local) return remote ? "FullyInSync" : "RemoteNotInSync";
  return remote ? "LocalNotInSync" : "LocalAndRemoteNotInSync";
}

// A peering that is new or renewed agrees to what it sees; later changes of the remote network wait for a
// write that says so (`az network vnet peering sync`).
bool is_agreement(const WriteContext& context, const std::string& path, const JsonObject* before,
                  std::string_view state) {
  if (before == nullptr || find(*before, "properties.remoteAddressSpace") == nullptr) return true;
  if (context.call.id.key() != ascii_lower(path)) return false;
  if (string_at(*before, "properties.peeringState") == kDisconnected && state != kDisconnected) return true;
  const std::string* sync = context.call.request.query.find("syncRemoteAddressSpace");
  return sync != nullptr && ascii_iequal(*sync, "true");
}

JsonArray kept_peerings(const Resource* existing) {
  JsonArray kept;
  const JsonArray* shown =
      existing == nullptr ? nullptr : array_at(existing->body, "properties.virtualNetworkPeerings");
  if (shown == nullptr) return kept;
  for (const Json& element : *shown) {
    const JsonObject& peering = element.as_object();
    kept.push_back(JsonObject{{"name", peering.at("name")}, {"properties", peering.at("properties")}});
  }
  return kept;
}

std::unexpected<Error> refused(std::string_view code, const std::string& peering, std::string_view what,
                               ErrorKind kind = ErrorKind::invalid) {
  return fail(kind, code, fmt::format("Cannot create or update peering {}. {}", peering, what),
              "properties.virtualNetworkPeerings");
}

}  // namespace

// Space that is in two peered networks at once would leave it open who is meant. Networks are often peered
// with the same others: `known` has the space of each that was read already.
Result<void> Service::check_peer_space(store::Reader& reader, const std::string& peering,
                                       const ResourceId& own, const std::vector<IpPrefix>& own_space,
                                       const Resource& remote, Spaces& known) {
  const auto remote_space = space_of(remote.body);
  if (overlap(own_space, remote_space))
    return refused("VnetAddressSpacesOverlap", peering,
                   fmt::format("Virtual networks {} and {} cannot be peered because their address spaces "
                               "overlap.",
                               own.text(), remote.id.text()));
  for (const PeeringLink& other :
       TRY(store::find<PeeringLink>(reader, platform_.core.tenant, "network", remote.id.key()))) {
    if (other.remote == own.key()) continue;
    const ResourceId other_id = TRY(ResourceId::parse(other.remote));
    if (!known.contains(other.remote)) {
      const auto network = TRY(platform_.resources.get(reader, other_id));
      known[other.remote] = network ? space_of(network->body) : std::vector<IpPrefix>();
    }
    if (!overlap(own_space, known.at(other.remote))) continue;
    const auto network = TRY(platform_.resources.get(reader, other_id));
    return refused(
        "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet", peering,
        fmt::format("Virtual networks {} and {} cannot be peered because address space of the first "
                    "virtual network overlaps with address space of virtual network {} already "
                    "peered with the second virtual network.",
                    own.text(), remote.id.text(), network ? network->id.text() : other.remote));
  }
  return {};
}

Result<std::string> Service::peering_state(WriteContext& context, const ResourceId& own,
                                           const std::string& name, const std::string& remote,
                                           const PeeringLink* back) {
  const TenantId& tenant = platform_.core.tenant;
  const std::string peering = own.text() + "/virtualNetworkPeerings/" + name;
  const auto before = TRY(store::get<PeeringLink>(context.tx, tenant, own.key() + "\n" + ascii_lower(name)));
  if (before && before->remote != remote)
    return refused("PropertyChangeNotAllowed", peering,
                   "Its remote virtual network cannot change. Delete the peering and create it anew.",
                   ErrorKind::conflict);
  // A write of the whole network carries its peerings along; only one of the peering itself renews it.
  const bool is_meant = context.call.id.key() == ascii_lower(peering);
  if (before && before->state == kDisconnected && !is_meant) return std::string(kDisconnected);
  if (back == nullptr) return std::string(kInitiated);
  if (back->state != kDisconnected) return std::string(kConnected);
  if (!before)
    return refused("RemotePeeringIsDisconnected", peering,
                   fmt::format("Remote peering {}/virtualNetworkPeerings/{} referencing parent virtual "
                               "network is in Disconnected state. Update or re-create the remote peering to "
                               "get it back to Initiated state. Peering gets Disconnected when remote vnet "
                               "or remote peering is deleted and re-created.",
                               remote, back->name));
  return std::string(kInitiated);
}

Result<void> Service::settle_peerings(WriteContext& context, const ResourceId& id, const Resource* existing,
                                      JsonObject& properties) {
  // Azure leaves peerings alone that a PUT does not mention.
  if (!properties.contains(kPeerings)) properties[kPeerings] = kept_peerings(existing);
  const auto own_space = prefixes_at(properties, "addressSpace.addressPrefixes");
  std::map<std::string, std::pair<std::string, std::vector<IpPrefix>>> seen;
  std::map<std::string, PeeringLink> backs;  // by the network that names this one
  for (PeeringLink& link :
       TRY(store::find<PeeringLink>(context.tx, platform_.core.tenant, "remote", id.key())))
    backs.try_emplace(link.network, std::move(link));
  Spaces known;
  // Two sides that agreed were looked at then; whoever of theirs peers or grows later is looked at itself.
  const bool has_same_space = existing != nullptr && is_same_space(space_of(existing->body), own_space);
  for (Json& element : properties[kPeerings].as_array()) {
    JsonObject& peering = element.as_object();
    const std::string name = string_at(peering, "name").value_or("");
    const std::string path = id.text() + "/virtualNetworkPeerings/" + name;
    const std::string remote = remote_of(peering);
    JsonObject& own = properties_of(peering);
    const auto remote_id = ResourceId::parse(remote);
    if (!remote_id || !ascii_iequal(remote_id->type(), "Microsoft.Network/virtualNetworks"))
      return refused("InvalidResourceReference", path,
                     fmt::format("'{}' is not the id of a virtual network.", remote));
    if (remote == id.key())
      return refused("VnetCannotBePeeredWithItself", path, "A virtual network cannot be peered with itself.");
    if (!bool_at(own, "peerCompleteVnets").value_or(true))
      return refused("SubnetPeeringNotSupported", path,
                     "Peering single subnets is not supported here. Leave peerCompleteVnets out.");
    if (seen.contains(remote))
      return refused("AnotherPeeringAlreadyReferencesRemoteVnet", path,
                     fmt::format("Peering '{}' already references remote virtual network {}. Cannot add "
                                 "another peering referencing the same remote virtual network.",
                                 seen.at(remote).first, remote));
    const auto back = backs.find(remote);
    const std::string state =
        TRY(peering_state(context, id, name, remote, back == backs.end() ? nullptr : &back->second));
    own["peeringState"] = state;
    const JsonObject* before = existing == nullptr ? nullptr : peering_with(existing->body, remote);
    for (const std::string_view key : {kAgreed, kCurrent}) {
      own.erase(key);
      const Json* shown = before == nullptr ? nullptr : before->at("properties").as_object().if_contains(key);
      if (shown != nullptr) own[key] = *shown;
    }
    std::vector<IpPrefix> remote_space;
    own["peeringSyncLevel"] = "FullyInSync";
    if (const auto network = TRY(platform_.resources.get(context.tx, *remote_id))) {
      const bool was_looked_at = has_same_space && before != nullptr && state == kConnected &&
                                 string_at(*before, "properties.peeringState") == kConnected;
      if (!was_looked_at) TRY(check_peer_space(context.tx, path, id, own_space, *network, known));
      remote_space = space_of(network->body);
      show_space(own, kCurrent, network->body);
      if (is_agreement(context, path, before, state)) show_space(own, kAgreed, network->body);
      own["peeringSyncLevel"] =
          sync_level(agreed_space(peering), remote_space, own_space, peering_with(network->body, id.key()));
    }
    for (const auto& [other, described] : seen)
      if (overlap(described.second, remote_space))
        return refused(
            "VnetAddressSpaceOverlapsWithAlreadyPeeredVnet", path,
            fmt::format("The address space of {} overlaps with that of {}, with which this network "
                        "is peered already.",
                        remote, other));
    seen[remote] = {name, std::move(remote_space)};
    own["provisioningState"] = "Succeeded";
  }
  return {};
}

// Brings the other side's document up to date with what this side is now, which may connect or disconnect
// it.
Result<void> Service::refresh_peer(WriteContext& context, const std::string& remote_key,
                                   const std::string& own_key, const JsonObject* own_document) {
  const auto remote = TRY(platform_.resources.get(context.tx, TRY(ResourceId::parse(remote_key))));
  if (!remote) return {};
  const auto links = TRY(store::find<PeeringLink>(context.tx, platform_.core.tenant, "network", own_key));
  const bool is_mutual = std::any_of(links.begin(), links.end(),
                                     [&](const PeeringLink& link) { return link.remote == remote_key; });
  JsonObject document = remote->body;
  Json* peerings = document["properties"].as_object().if_contains(kPeerings);
  if (peerings == nullptr || !peerings->is_array()) return {};
  for (Json& element : peerings->get_array()) {
    JsonObject& peering = element.as_object();
    if (remote_of(peering) != own_key) continue;
    JsonObject& properties = properties_of(peering);
    const std::string state = string_at(properties, "peeringState").value_or("");
    if (is_mutual && state == kInitiated) properties["peeringState"] = kConnected;
    if (!is_mutual && state == kConnected) properties["peeringState"] = kDisconnected;
    if (own_document == nullptr) continue;
    show_space(properties, kCurrent, *own_document);
    properties["peeringSyncLevel"] =
        sync_level(agreed_space(peering), space_of(*own_document), space_of(remote->body),
                   peering_with(*own_document, remote_key));
  }
  if (document == remote->body) return {};
  TRY(platform_.resources.store_document(context, remote->id, std::move(document)));
  return {};
}

Result<std::set<std::string>> Service::update_peering_links(store::Transaction& tx, const ResourceId& id,
                                                            const JsonObject* document) {
  const TenantId& tenant = platform_.core.tenant;
  std::set<std::string> peers;
  for (const PeeringLink& before : TRY(store::find<PeeringLink>(tx, tenant, "network", id.key()))) {
    peers.insert(before.remote);
    TRY(store::erase<PeeringLink>(tx, tenant, before.key()));
  }
  for (const PeeringLink& other : TRY(store::find<PeeringLink>(tx, tenant, "remote", id.key())))
    peers.insert(other.network);
  const JsonArray* peerings =
      document == nullptr ? nullptr : array_at(*document, "properties.virtualNetworkPeerings");
  if (peerings == nullptr) return peers;
  for (const Json& element : *peerings) {
    const JsonObject& peering = element.as_object();
    PeeringLink link;
    link.network = id.key();
    link.name = ascii_lower(string_at(peering, "name").value_or(""));
    link.remote = remote_of(peering);
    link.state = string_at(peering, "properties.peeringState").value_or(std::string(kInitiated));
    peers.insert(link.remote);
    TRY(store::put(tx, tenant, link));
  }
  return peers;
}

// What the tag VirtualNetwork stands for at an interface: its network's own space and that which was agreed
// to of connected peers to which access is allowed (Azure docs, virtual-network-manage-peering), and the
// links that its own machine is on.
Result<std::vector<IpPrefix>> Service::network_space(store::Reader& reader, const NicLink& link) {
  std::vector<IpPrefix> space;
  if (link.subnet.empty()) return space;
  const auto network = TRY(platform_.resources.get(reader, TRY(ResourceId::parse(link.subnet)).parent()));
  if (!network) return space;
  space = space_of(network->body);
  space.insert(space.end(), link.on_link.begin(), link.on_link.end());
  if (const JsonArray* peerings = array_at(network->body, "properties.virtualNetworkPeerings"))
    for (const Json& element : *peerings) {
      const JsonObject& peering = element.as_object();
      if (string_at(peering, "properties.peeringState") != kConnected) continue;
      if (!bool_at(peering, "properties.allowVirtualNetworkAccess").value_or(false)) continue;
      const auto remote = agreed_space(peering);
      space.insert(space.end(), remote.begin(), remote.end());
    }
  return merged(std::move(space));
}

}  // namespace merlon::network
