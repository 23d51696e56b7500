/** `weft import hoster FILE`: another program's description of its networks as a weft.yaml. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program.command('import').helpGroup(group.file).description("write a weft.yaml from another program's configuration");
  examples(command, 'weft import hoster network_config.json');
  const hoster = command
    .command('hoster')
    .description("from Hoster's network_config.json; never overwrites a file")
    .argument('<file>', 'the network_config.json')
    .option('-o, --output <file>', 'where to write, or - for standard output (default: the -f file, else weft.yaml here)');
  examples(hoster, 'weft import hoster /opt/hoster/config_files/network_config.json', 'weft import hoster network_config.json -o - | less');
  hoster.action(async (file: string, options: { output?: string }) => {
    const { runImportHoster } = await import('../new-file.ts');
    runImportHoster(ctx, file, options.output);
  });
};
