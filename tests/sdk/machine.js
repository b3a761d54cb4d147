// A virtual machine that a person described, with an interface and a security group, but without an agent.
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';

export async function describeMachine(server, compute, name = 'web-1') {
  const resources = new ResourceManagementClient(server.credential(), server.subscription, server.options());
  const network = new NetworkManagementClient(server.credential(), server.subscription, server.options());
  await resources.resourceGroups.createOrUpdate('rg', { location: 'local' });
  const group = await network.networkSecurityGroups.beginCreateOrUpdateAndWait('rg', `${name}-nsg`, { location: 'local' });
  const net = await network.virtualNetworks.beginCreateOrUpdateAndWait('rg', 'net', {
    location: 'local', addressSpace: { addressPrefixes: ['10.1.0.0/16'] }, subnets: [{ name: 'a', addressPrefix: '10.1.1.0/24' }],
  });
  const nic = await network.networkInterfaces.beginCreateOrUpdateAndWait('rg', `${name}-nic`, {
    location: 'local', networkSecurityGroup: { id: group.id },
    ipConfigurations: [{ name: 'ipconfig1', subnet: { id: net.subnets[0].id } }],
  });
  return compute.virtualMachines.beginCreateOrUpdateAndWait('rg', name, {
    location: 'local', networkProfile: { networkInterfaces: [{ id: nic.id, primary: true }] },
  });
}
