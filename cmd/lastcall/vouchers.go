package main

import "github.com/spf13/cobra"

func vouchersCommand(sh *shell) *cobra.Command {
	o := newOutput(sh)
	return group(o, "vouchers", "Vouchers, their cards and the keys that sign them",
		vouchersIssue(o), vouchersBatch(o), vouchersList(o), vouchersShow(o), vouchersVoid(o), vouchersTotals(o), vouchersUnsent(o), vouchersResend(o), vouchersTold(o),
		vouchersPreview(o), vouchersKeys(o), vouchersRotateKey(o), vouchersRetireKey(o))
}
